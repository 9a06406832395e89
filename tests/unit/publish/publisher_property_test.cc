// Random commits, subscribers, reads, closes, time and answers of the log, in any order. Each
// subscriber checks its own stream against the committed history; at the end everybody who is left
// must have everything.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "server/base/random.h"
#include "tests/unit/publish/publisher_fixture.h"

namespace kvorum::publish {
namespace {

class PublisherPropertyTest : public PublisherFixture {
 protected:
  struct Client {
    std::unique_ptr<CheckingSink> sink;
    SubscriptionId id;
  };

  void CommitSome() {
    const uint64_t batches = random->Below(4);
    for (uint64_t i = 0; i <= batches; ++i) {
      CommittedUpdate update;
      if (random->OneIn(1, 8)) {
        history.NextEpoch();
        update = history.AddControl(static_cast<int32_t>(random->Between(1, 2)));
      } else {
        update = history.AddPuts(static_cast<int>(random->Between(1, 12)), random->Below(120));
      }
      publisher().OnCommit(update);
    }
    publisher().OnImage(now, history.image());
  }

  // A newcomer, or somebody who resumes: where it was, in the future, or nowhere.
  void AddClient(std::optional<Offset> at) {
    std::optional<v1::Position> resume;
    if (at.has_value()) {
      const Epoch epoch = random->OneIn(1, 12) ? Epoch(1) : history.EpochBelow(*at);
      resume = MakePosition(random->OneIn(1, 15) ? *at + 1 : *at, epoch);
    }
    Client client{std::make_unique<CheckingSink>(history, resume), SubscriptionId()};
    client.id = Subscribe(*client.sink);
    clients.push_back(std::move(client));
  }

  void Step() {
    const size_t which = clients.empty() ? 0 : random->Below(clients.size());
    switch (random->Below(12)) {
      case 0:
      case 1:
        CommitSome();
        break;
      case 2:
        if (clients.size() < 6) {
          AddClient(random->OneIn(1, 2) ? std::optional<Offset>() : history.end().offset);
        }
        break;
      case 3:  // reconnects where it was
        if (!clients.empty()) {
          publisher().OnClosed(clients[which].id);
          const std::optional<Offset> at = clients[which].sink->position;
          clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(which));
          AddClient(at.has_value() && history.IsBoundary(*at) ? at : std::nullopt);
        }
        break;
      case 4:
        Advance(std::chrono::milliseconds(random->Below(700)));
        break;
      case 5:
      case 6:
        log.AnswerNext();
        break;
      default:
        if (!clients.empty() && clients[which].sink->outstanding) {
          Take(*clients[which].sink, clients[which].id);
        }
    }
    std::erase_if(clients, [](const Client& client) { return client.sink->closed.has_value(); });
  }

  std::optional<Random> random;
  std::vector<Client> clients;
};

class PublisherSeedTest : public PublisherPropertyTest, public testing::WithParamInterface<int> {};

TEST_P(PublisherSeedTest, EveryStreamIsOrderedGaplessAndComplete) {
  random.emplace(static_cast<uint64_t>(GetParam()));
  config.tail_max_bytes = 500 + random->Below(6000);
  config.max_message_bytes = 200 + random->Below(1500);
  config.log_read_bytes = 100 + random->Below(3000);
  LeadBy(publisher(), static_cast<int32_t>(random->Between(1, 2)), "leader:1");
  Publish(history.AddControl(2));
  for (int i = 0; i < 600 && !HasFailure(); ++i) {
    Step();
    ASSERT_EQ(publisher().subscription_count(), clients.size());
  }
  for (Client& client : clients) {
    TakeAll(*client.sink, client.id);
    const bool went_away = client.sink->Count(Case::kGoAway) > 0 || client.sink->closed;
    const bool is_ahead = client.sink->Count(Case::kHello) == 0;
    if (!went_away && !is_ahead) {
      EXPECT_EQ(*client.sink->position, history.end().offset);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PublisherSeedTest, testing::Range(1, 60));

}  // namespace
}  // namespace kvorum::publish
