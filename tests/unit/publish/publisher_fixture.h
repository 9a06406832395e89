#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <utility>

#include "server/publish/update_publisher.h"
#include "tests/unit/publish/fakes.h"

namespace kvorum::publish {

// A publisher over a history, on a clock that the test moves.
class PublisherFixture : public testing::Test {
 protected:
  using Case = v1::MetadataUpdate;

  PublisherFixture() {
    config.cluster_id = kClusterId;
    config.generation = kGeneration;
    config.node_id = NodeId(1);
  }

  UpdatePublisher& publisher() {
    if (publisher_ == nullptr) {
      publisher_ = std::make_unique<UpdatePublisher>(config, log);
    }
    return *publisher_;
  }

  // Commits reach the publisher one by one, each with its image.
  void Publish(const CommittedUpdate& update) {
    publisher().OnCommit(update);
    publisher().OnImage(now, history.image());
  }
  void PublishControl() { Publish(history.AddControl()); }
  void PublishPuts(int count, size_t value_bytes = 10) {
    Publish(history.AddPuts(count, value_bytes));
  }
  // An epoch's first batch, then `batches` of one put each.
  void PublishSome(int batches, size_t value_bytes = 10) {
    PublishControl();
    for (int i = 0; i < batches; ++i) {
      PublishPuts(1, value_bytes);
    }
  }

  SubscriptionId Subscribe(CheckingSink& sink) {
    return publisher().Subscribe(now, sink.request, sink);
  }
  // The subscriber takes what is outstanding.
  void Take(CheckingSink& sink, SubscriptionId id) {
    ASSERT_TRUE(sink.outstanding);
    sink.outstanding = false;
    publisher().OnReady(now, id);
  }
  // The subscriber takes everything, and the log answers.
  void TakeAll(CheckingSink& sink, SubscriptionId id) {
    for (int i = 0; i < 10'000; ++i) {
      if (sink.outstanding) {
        Take(sink, id);
      } else if (!log.AnswerNext()) {
        return;
      }
    }
    FAIL() << "the stream does not come to rest";
  }

  void Advance(Duration by) {
    now += by;
    if (publisher().NextDeadline() <= now) {
      publisher().HandleTimer(now);
    }
  }
  // Fires the timer whenever it is due until `by` is over.
  void RunTimersFor(Duration by) {
    const TimePoint end = now + by;
    while (publisher().NextDeadline() <= end) {
      now = std::max(now, publisher().NextDeadline());
      publisher().HandleTimer(now);
    }
    now = end;
  }

  static void LeadBy(UpdatePublisher& publisher, int32_t node, const std::string& endpoint) {
    publisher.OnLeader({NodeId(node), Epoch(1), Offset(0), endpoint});
  }

  static ErrorReason ReasonOf(const CheckingSink& sink) {
    return sink.closed.has_value() ? GetErrorReason(*sink.closed) : ErrorReason::kUnknown;
  }

  PublisherConfig config;
  TimePoint now{std::chrono::seconds(100)};
  CommittedHistory history;
  FakeLog log{history};

 private:
  std::unique_ptr<UpdatePublisher> publisher_;
};

}  // namespace kvorum::publish
