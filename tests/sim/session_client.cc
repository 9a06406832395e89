#include "tests/sim/session_client.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <memory>
#include <variant>

#include "server/base/errors.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Neither brokers, nor clients, nor subscribers.
constexpr int kFirstActor = 4000;
constexpr uint64_t kKeys = 4;
// Further than any run gets.
constexpr int64_t kFarAhead = 1'000'000;

}  // namespace

SessionClient::SessionClient(World& world, ClientChecker& clients, int number, Random random)
    : world_(world),
      clients_(clients),
      checker_(world),
      actor_(kFirstActor + number),
      random_(random),
      finder_(world, random_.Fork()) {}

void SessionClient::ScheduleNext() {
  if (!is_stopped_) {
    world_.queue.After(DrawBetween(random_, {}, world_.options.workload.mean_think_time * 2),
                       [this] { Next(); });
  }
}

void SessionClient::Next() {
  if (is_stopped_) {
    return;
  }
  if (world_.options.workload.lists_by_pages && random_.OneIn(1, 6)) {
    List();
  } else if (random_.OneIn(1, 3)) {
    Write();
  } else {
    Read();
  }
}

NodeId SessionClient::RandomController() {
  auto it = world_.controllers.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  return it->first;
}

std::string SessionClient::DrawKey() {
  return fmt::format("session-{}/{}", actor_, random_.Below(kKeys));
}

// --- writes ---

void SessionClient::Write() {
  controller::Command command;
  if (random_.OneIn(1, 4)) {
    v1::DeleteEntryRequest request;
    request.set_key(DrawKey());
    command = request;
  } else {
    v1::PutEntryRequest request;
    request.set_key(DrawKey());
    request.set_value(fmt::format("{}/{}", actor_, ++operations_));
    command = request;
  }
  ClientCall<controller::CommandReply> call =
      MakeCommandCall(world_, actor_, finder_.target(), command);
  call.on_leave = [this, command, before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    clients_.OnWriteAnswered(process, command, before, reply);
  };
  call.on_result = [this, command](const CallResult<controller::CommandReply>& result) {
    OnWriteResult(command, result);
  };
  StartCall(world_, random_, std::move(call));
}

void SessionClient::OnWriteResult(const controller::Command& command,
                                  const CallResult<controller::CommandReply>& result) {
  using Kind = CallResult<controller::CommandReply>::Kind;
  const auto* put = std::get_if<v1::PutEntryRequest>(&command);
  if (result.kind != Kind::kAnswered) {
    if (result.kind == Kind::kRefused) {
      clients_.OnWriteRefused(command);
    }
    finder_.TryAnother();
  } else if (!result.answer.ok()) {
    finder_.OnError(result.answer.status());
    const std::map<std::string, std::string> facts = GetErrorFacts(result.answer.status());
    if (const auto offset = facts.find("position_offset");
        put != nullptr && offset != facts.end()) {
      v1::Position position;
      position.set_generation(std::stoull(facts.at("position_generation")));
      position.set_epoch(std::stoi(facts.at("position_epoch")));
      position.set_offset(std::stoll(offset->second));
      lost_write_.emplace(put->value(), position);
    }
  } else if (put != nullptr) {
    checker_.OnWritten(put->value(), std::get<v1::PutEntryResponse>(*result.answer).header());
  }
  ScheduleNext();
}

// --- reads ---

v1::Position SessionClient::DrawPosition(SessionChecker::Read& read) {
  using Token = SessionChecker::Token;
  // Of the log as it is somewhere: what is committed by now.
  const auto committed = [this](Offset offset) {
    v1::Position position;
    position.set_generation(world_.generation);
    position.set_epoch(world_.ghost.ImageAt(offset)->provenance().last_epoch.value());
    position.set_offset(offset.value());
    return position;
  };
  if (world_.ghost.end_offset() == Offset(0)) {
    read.token = Token::kNegative;
    v1::Position before_all;
    before_all.set_offset(-1);
    return before_all;
  }
  v1::Position position = committed(world_.ghost.end_offset());
  if (random_.OneIn(2, 3) && checker_.position().has_value()) {
    read.token = Token::kOwn;
    return *checker_.position();
  }
  if (random_.OneIn(1, 2) && !world_.applied_by_broker.empty()) {
    auto broker = world_.applied_by_broker.begin();
    std::advance(broker, static_cast<int64_t>(random_.Below(world_.applied_by_broker.size())));
    read.token = Token::kSubscribers;
    return committed(broker->second);
  }
  if (random_.OneIn(1, 2) && lost_write_.has_value()) {
    read.token = Token::kLostWrite;
    read.lost_value = lost_write_->first;
    return lost_write_->second;
  }
  read.token = static_cast<Token>(random_.Between(static_cast<int64_t>(Token::kFuture),
                                                  static_cast<int64_t>(Token::kNegative)));
  switch (read.token) {
    case Token::kFuture:
      position.set_offset(position.offset() + kFarAhead);
      break;
    case Token::kOtherEpoch:
      position.set_epoch(position.epoch() + 1);
      break;
    case Token::kOtherGeneration:
      position.set_generation(position.generation() + 1);
      break;
    default:
      position.set_offset(-1);
      break;
  }
  return position;
}

controller::Query SessionClient::DrawQuery(const v1::Position& min_position) {
  const auto with = [&](auto request) {
    *request.mutable_options()->mutable_min_position() = min_position;
    request.mutable_options()->set_consistency(random_.OneIn(2, 3) ? v1::CONSISTENCY_LOCAL
                                                                   : v1::CONSISTENCY_LINEARIZABLE);
    return controller::Query(std::move(request));
  };
  switch (random_.Below(6)) {
    case 0:
      return with(v1::ListEntriesRequest());
    case 1:
      return with(v1::ListTopicsRequest());
    default: {
      v1::GetEntryRequest request;
      request.set_key(DrawKey());
      return with(std::move(request));
    }
  }
}

SessionChecker::Read SessionClient::DrawRead() {
  SessionChecker::Read read;
  read.min_position = DrawPosition(read);
  read.query = DrawQuery(read.min_position);
  return read;
}

void SessionClient::Read() {
  const auto read = std::make_shared<SessionChecker::Read>(DrawRead());
  ClientCall<controller::QueryReply> call;
  call.actor = actor_;
  call.to = RandomController();
  call.timeout = world_.options.workload.call_timeout;
  call.invoke = [this, read](SimProcess& process, Now now, TimePoint deadline, auto done) {
    read->deadline = deadline;
    if (process.node().committed_image()->provenance().end_offset <
        Offset(read->min_position.offset())) {
      world_.log.Hit(Mark::kSessionWaits);
    }
    process.node().HandleQuery(now, read->query, std::move(done), deadline);
  };
  call.on_leave = [this, read, floor = clients_.acknowledged_end()](
                      SimProcess& process, const absl::StatusOr<controller::QueryReply>& reply) {
    clients_.OnReadAnswered(process, read->query, floor, reply);
    checker_.OnReadAnswered(process, *read, reply);
  };
  call.on_result = [this](const CallResult<controller::QueryReply>& result) {
    if (result.answer.ok()) {
      std::visit([this](const auto& reply) { checker_.OnRead(reply.header()); }, *result.answer);
    }
    ScheduleNext();
  };
  StartCall(world_, random_, std::move(call));
}

// --- lists ---

void SessionClient::List() {
  const auto page_size = static_cast<int32_t>(random_.Between(1, 4));
  const auto with = [&](auto request) {
    request.mutable_page()->set_page_size(page_size);
    request.mutable_options()->set_consistency(v1::CONSISTENCY_LOCAL);
    return controller::Query(std::move(request));
  };
  list_ = SessionChecker::PagedList{.next = random_.OneIn(1, 2) ? with(v1::ListEntriesRequest())
                                                                : with(v1::ListTopicsRequest())};
  list_from_ = RandomController();
  AskForPage();
}

void SessionClient::AskForPage() {
  ClientCall<controller::QueryReply> call;
  call.actor = actor_;
  call.to = random_.OneIn(1, 6) ? RandomController() : list_from_;
  call.timeout = world_.options.workload.call_timeout;
  call.invoke = [query = list_->next](SimProcess& process, Now now, TimePoint deadline, auto done) {
    process.node().HandleQuery(now, query, std::move(done), deadline);
  };
  call.on_leave = [](SimProcess&, const absl::StatusOr<controller::QueryReply>&) {};
  call.on_result = [this](const CallResult<controller::QueryReply>& result) { OnPage(result); };
  StartCall(world_, random_, std::move(call));
}

void SessionClient::OnPage(const CallResult<controller::QueryReply>& result) {
  if (result.answer.ok() && checker_.OnPage(*list_, *result.answer)) {
    world_.queue.After(DrawBetween(random_, {}, world_.options.workload.mean_think_time),
                       [this] { AskForPage(); });
    return;
  }
  if (result.kind == CallResult<controller::QueryReply>::Kind::kAnswered && !result.answer.ok()) {
    checker_.OnPageRefused(*list_, result.answer.status());
  }
  list_.reset();
  ScheduleNext();
}

}  // namespace kvorum::sim
