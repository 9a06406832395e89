// The pages of a list are of one state of the metadata, or are refused (api.md §2 "Lists").
#include "server/node/pinned_pages.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "server/base/errors.h"
#include "tests/unit/node/test_cluster.h"

namespace kvorum {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class PagesTest : public testing::Test {
 protected:
  void Begin() {
    cluster.StartAll();
    leader = cluster.Elect();
    other = leader % 3 + 1;
    for (const char* key : {"a", "c", "e", "g"}) {
      Put(key);
    }
    cluster.RunFor(seconds(1));
  }
  void Put(const std::string& key) {
    v1::PutEntryRequest request;
    request.set_key(key);
    request.set_value("value");
    Commit(request);
  }
  void Delete(const std::string& key) {
    v1::DeleteEntryRequest request;
    request.set_key(key);
    Commit(request);
  }
  void Commit(const controller::Command& command) {
    const CommandAnswer answer = cluster.Submit(leader, command);
    cluster.RunUntil([&] { return !answer->is_waiting(); });
    ASSERT_TRUE(answer->is_ok()) << answer->status();
  }
  QueryAnswer Ask(int32_t node, const v1::ListEntriesRequest& request) {
    const QueryAnswer answer = cluster.Query(node, request);
    cluster.RunUntil([&] { return !answer->is_waiting(); });
    return answer;
  }
  static v1::ListEntriesRequest Page(const std::string& token) {
    v1::ListEntriesRequest request;
    request.mutable_page()->set_page_size(1);
    request.mutable_page()->set_page_token(token);
    return request;
  }
  std::string FirstToken(int32_t node) {
    const QueryAnswer first = Ask(node, Page(""));
    EXPECT_TRUE(first->is_ok()) << first->status();
    return first->As<v1::ListEntriesResponse>().page().next_page_token();
  }

  TestCluster cluster{3};
  int32_t leader = 0;
  int32_t other = 0;
};

TEST_F(PagesTest, AllAreOfTheStateOfTheFirstWhateverIsWrittenMeanwhile) {
  Begin();
  std::string token;
  std::string keys;
  std::set<int64_t> offsets;
  do {
    const QueryAnswer page = Ask(leader, Page(token));
    ASSERT_TRUE(page->is_ok()) << page->status();
    const auto& response = page->As<v1::ListEntriesResponse>();
    for (const v1::Entry& entry : response.entries()) {
      keys += entry.key();
    }
    offsets.insert(response.header().applied().offset());
    token = response.page().next_page_token();
    // Before and behind where the list stands.
    Put("b" + keys);
    Put("f" + keys);
    if (keys == "a") {
      Delete("g");
    }
  } while (!token.empty());
  EXPECT_EQ(keys, "aceg");
  EXPECT_EQ(offsets.size(), 1u) << "each says what it is of";
}

TEST_F(PagesTest, AnotherNodeGoesOnIfItHasTheSameStateAndElseSaysThatTheListIsToBeginAnew) {
  Begin();
  const std::string token = FirstToken(leader);
  EXPECT_TRUE(Ask(other, Page(token))->is_ok()) << "nothing has happened since";
  Put("b");
  cluster.RunFor(seconds(1));
  EXPECT_TRUE(Ask(other, Page(token))->is_ok()) << "it gave a page of that state itself";
  const int32_t third = other % 3 + 1;
  const QueryAnswer late = Ask(third, Page(token));
  EXPECT_EQ(late->reason(), ErrorReason::kPageTokenExpired);
  EXPECT_EQ(late->status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Ask(leader, Page(token))->is_ok()) << "the one that gave it";
}

TEST_F(PagesTest, AStateIsKeptForAWhileAfterItsLastPage) {
  Begin();
  const std::string token = FirstToken(leader);
  Put("b");
  cluster.RunFor(minutes(1));
  EXPECT_TRUE(Ask(leader, Page(token))->is_ok());
  cluster.RunFor(seconds(90));
  Put("d");
  EXPECT_TRUE(Ask(leader, Page(token))->is_ok()) << "since the last page";
  cluster.RunFor(minutes(3));
  Put("f");
  EXPECT_EQ(Ask(leader, Page(token))->reason(), ErrorReason::kPageTokenExpired);
}

TEST_F(PagesTest, OfTooManyTheOneGoesThatWasListedLongestAgo) {
  cluster.base_config.pinned_pages.max_images = 2;
  Begin();
  const std::string first = FirstToken(leader);
  Put("b");
  const std::string second = FirstToken(leader);
  cluster.RunFor(seconds(1));
  EXPECT_TRUE(Ask(leader, Page(first))->is_ok());
  Put("d");
  FirstToken(leader);
  Put("f");
  EXPECT_TRUE(Ask(leader, Page(first))->is_ok());
  EXPECT_EQ(Ask(leader, Page(second))->reason(), ErrorReason::kPageTokenExpired);
}

TEST_F(PagesTest, AForgedOrForeignTokenIsRefused) {
  Begin();
  const std::string token = FirstToken(leader);
  std::string other_offset = token;
  other_offset[15] = other_offset[15] == '0' ? '1' : '0';
  for (const std::string& wrong :
       {std::string("x"), std::string(32, '0'), std::string(100, 'f'), token.substr(1),
        token.substr(0, token.size() - 1), token + "0", other_offset}) {
    EXPECT_EQ(Ask(leader, Page(wrong))->reason(), ErrorReason::kInvalidRequest) << wrong;
  }
  v1::ListEntriesRequest other_list = Page(token);
  other_list.set_prefix("c");
  EXPECT_EQ(Ask(leader, other_list)->reason(), ErrorReason::kInvalidRequest);
}

TEST_F(PagesTest, APageCannotReflectWhatWasWrittenAfterTheFirst) {
  Begin();
  v1::ListEntriesRequest next = Page(FirstToken(leader));
  Put("b");
  v1::Position& position = *next.mutable_options()->mutable_min_position();
  position.set_generation(kTestGeneration);
  position.set_epoch(cluster.at(leader).node().core().epoch().value());
  position.set_offset(cluster.at(leader).node().core().log_end_offset().value());
  const QueryAnswer answer = Ask(leader, next);
  EXPECT_EQ(answer->reason(), ErrorReason::kInvalidRequest);
  EXPECT_NE(answer->status().message().find("min_position"), std::string::npos);
}

}  // namespace
}  // namespace kvorum
