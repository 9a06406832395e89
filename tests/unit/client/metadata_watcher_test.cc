#include "client/metadata_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/fake_controller.h"
#include "tests/unit/client/recording_listener.h"

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;
using testing::At;
using testing::Eventually;
using testing::FakeController;
using testing::FakeStream;

v1::MetadataRecord NoOp() {
  v1::MetadataRecord record;
  record.mutable_no_op();
  return record;
}

std::shared_ptr<Endpoints> EndpointsOf(std::vector<std::string> endpoints) {
  return std::make_shared<Endpoints>(std::move(endpoints));
}

MetadataWatcherOptions ResumeAt(int64_t offset) {
  MetadataWatcherOptions options;
  options.resume_from = At(offset, 1);
  return options;
}

// Where subscribers wanted to begin, in order; -1: a snapshot.
class RequestLog {
 public:
  void Add(const v1::SubscribeRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    offsets_.push_back(request.has_resume_from() ? request.resume_from().offset() : -1);
  }
  std::vector<int64_t> offsets() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return offsets_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int64_t> offsets_;
};

TEST(MetadataWatcherTest, BeginsWithASnapshotWhenItHasNothing) {
  FakeController server;
  server.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
    EXPECT_FALSE(request.has_resume_from());
    stream.SendHello(At(5, 1), true);
    stream.SendSnapshot({NoOp(), NoOp()}, At(5, 1));
    stream.SendCommit(5, At(6, 1), {NoOp()});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), {}, listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 1; }));
  watcher.Stop();
  EXPECT_EQ(listener.Calls(), "snapshot-begin, snapshot x2, snapshot-end 5, commit 5-6 x1");
  EXPECT_EQ(watcher.status().position->offset(), 6);
}

TEST(MetadataWatcherTest, ResumesFromWhatWasAppliedAfterTheStreamBreaks) {
  FakeController server;
  RequestLog requests;
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    requests.Add(request);
    const int64_t from = request.resume_from().offset();
    stream.SendHello(request.resume_from(), false);
    stream.SendCommit(from, At(from + 1, 1), {NoOp()});
    if (from == 12) {
      stream.WaitForCancel();
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node is gone");
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 3; }));
  watcher.Stop();
  EXPECT_EQ(listener.Calls(), "commit 10-11 x1, commit 11-12 x1, commit 12-13 x1");
  EXPECT_THAT(requests.offsets(), ::testing::ElementsAre(10, 11, 12));
}

TEST(MetadataWatcherTest, GoesOnAtAnotherServerWhenOneIsKilled) {
  FakeController servers[2];
  for (FakeController& server : servers) {
    server.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
      const int64_t from = request.resume_from().offset();
      stream.SendHello(request.resume_from(), false);
      stream.SendCommit(from, At(from + 1, 1), {NoOp()});
      stream.WaitForCancel();
      return grpc::Status::OK;
    };
  }
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({servers[0].endpoint(), servers[1].endpoint()}), ResumeAt(10),
                          listener);
  watcher.Start();
  ASSERT_TRUE(Eventually([&] { return watcher.status().counters.commits == 1; }));
  const bool first = watcher.status().endpoint == servers[0].endpoint();
  servers[first ? 0 : 1].Stop();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 2; }));
  EXPECT_EQ(watcher.status().endpoint, servers[first ? 1 : 0].endpoint());
  watcher.Stop();
  EXPECT_EQ(listener.Calls(), "commit 10-11 x1, commit 11-12 x1");
}

TEST(MetadataWatcherTest, FollowsTheHintOfAGoAway) {
  FakeController leaving;
  FakeController staying;
  leaving.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    stream.SendHello(request.resume_from(), false);
    v1::MetadataUpdate update;
    update.mutable_go_away()->set_hint(staying.endpoint());
    stream.Send(std::move(update));
    return grpc::Status::OK;
  };
  staying.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
    stream.SendHello(request.resume_from(), false);
    stream.SendCommit(10, At(11, 1), {NoOp()});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({leaving.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 1; }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().endpoint, staying.endpoint());
  EXPECT_EQ(leaving.call_count(), 1);
}

TEST(MetadataWatcherTest, LeavesAStreamThatHasFallenSilent) {
  FakeController server;
  RequestLog requests;
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    requests.Add(request);
    stream.SendHello(request.resume_from(), false, /*bookmark_ms=*/10);
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  MetadataWatcherOptions options = ResumeAt(10);
  options.min_silence = milliseconds(50);
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), std::move(options), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return requests.offsets().size() >= 2; }));
  watcher.Stop();
}

TEST(MetadataWatcherTest, RestartsAfterADuplicateWithoutPassingItOn) {
  FakeController server;
  std::atomic<int> stream_count{0};
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    stream.SendHello(request.resume_from(), false);
    if (++stream_count == 1) {
      stream.SendCommit(10, At(11, 1), {NoOp()});
      stream.SendCommit(10, At(11, 1), {NoOp()});
    } else {
      stream.SendCommit(11, At(12, 1), {NoOp()});
    }
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 2; }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().counters.duplicates, 1);
  EXPECT_EQ(listener.Calls(), "commit 10-11 x1, commit 11-12 x1");
}

TEST(MetadataWatcherTest, AsksForASnapshotAfterAGapAndWhenItsPositionIsRefused) {
  FakeController server;
  RequestLog requests;
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    requests.Add(request);
    if (requests.offsets().size() == 1) {
      return testing::MakeStatus({grpc::StatusCode::OUT_OF_RANGE, "POSITION_DISCARDED",
                                  "not_executed", "read_again_first"});
    }
    stream.SendHello(At(20, 1), true);
    stream.SendSnapshot({}, At(20, 1));
    if (requests.offsets().size() == 2) {
      stream.SendCommit(21, At(22, 1), {NoOp()});
    }
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.snapshots == 2; }));
  watcher.Stop();
  EXPECT_THAT(requests.offsets(), ::testing::ElementsAre(10, -1, -1));
  EXPECT_EQ(watcher.status().counters.gaps, 1);
}

TEST(MetadataWatcherTest, SendsItsFilterItsSourceAndTheFilterOfWhatItHas) {
  FakeController server;
  std::mutex mutex;
  std::vector<v1::SubscribeRequest> requests;
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    size_t count = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      requests.push_back(request);
      count = requests.size();
    }
    if (count == 1) {
      stream.SendHello(At(20, 1), true, 1000, /*filter_id=*/77);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "before the snapshot");
    }
    if (count == 2) {
      stream.SendHello(At(20, 1), true, 1000, /*filter_id=*/77);
      stream.SendSnapshot({NoOp()}, At(20, 1));
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "after the snapshot");
    }
    stream.SendHello(request.resume_from(), false, 1000, /*filter_id=*/77);
    stream.SendCommit(20, At(21, 1), {NoOp()});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  MetadataWatcherOptions options = ResumeAt(10);
  options.resume_filter_id = 5;
  options.filter.add_kinds("topic");
  options.filter.add_topic_prefixes("orders.");
  options.source = v1::SOURCE_LEADER;
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), options, listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 1; }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().filter_id, 77u);

  const std::lock_guard<std::mutex> lock(mutex);
  ASSERT_EQ(requests.size(), 3u);
  for (const v1::SubscribeRequest& request : requests) {
    EXPECT_EQ(request.filter().SerializeAsString(), options.filter.SerializeAsString());
    EXPECT_EQ(request.source(), v1::SOURCE_LEADER);
  }
  EXPECT_EQ(requests[0].resume_filter_id(), 5u) << "what it was given to go on from";
  EXPECT_EQ(requests[1].resume_filter_id(), 5u) << "what it has is still that";
  EXPECT_EQ(requests[1].resume_from().offset(), 10);
  EXPECT_EQ(requests[2].resume_filter_id(), 77u);
  EXPECT_EQ(requests[2].resume_from().offset(), 20);
}

TEST(MetadataWatcherTest, BeginsAnewWhenItsPositionIsOfNoUse) {
  for (const char* const reason : {"GENERATION_MISMATCH", "POSITION_OUT_OF_RANGE"}) {
    SCOPED_TRACE(reason);
    FakeController server;
    RequestLog requests;
    server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
      requests.Add(request);
      if (request.has_resume_from()) {
        return testing::MakeStatus({grpc::StatusCode::OUT_OF_RANGE, reason});
      }
      EXPECT_EQ(request.resume_filter_id(), 0u) << "it has nothing";
      stream.SendHello(At(3, 1), true);
      stream.SendSnapshot({NoOp()}, At(3, 1));
      stream.WaitForCancel();
      return grpc::Status::OK;
    };
    MetadataWatcherOptions options = ResumeAt(10);
    options.resume_filter_id = 5;
    testing::RecordingListener listener;
    MetadataWatcher watcher(EndpointsOf({server.endpoint()}), options, listener);
    watcher.Start();
    EXPECT_TRUE(Eventually([&] { return watcher.status().counters.snapshots == 1; }));
    watcher.Stop();
    EXPECT_THAT(requests.offsets(), ::testing::ElementsAre(10, -1));
    EXPECT_EQ(watcher.status().position->offset(), 3) << "lower, and no duplicate";
    EXPECT_EQ(watcher.status().counters.duplicates, 0);
  }
}

TEST(MetadataWatcherTest, GoesOnFromWhatWasAppliedWhenItWasTooSlow) {
  FakeController server;
  RequestLog requests;
  server.on_subscribe = [&](const v1::SubscribeRequest& request, FakeStream& stream) {
    requests.Add(request);
    const int64_t from = request.resume_from().offset();
    stream.SendHello(request.resume_from(), false);
    stream.SendCommit(from, At(from + 2, 1), {NoOp(), NoOp()});
    if (from == 12) {
      stream.WaitForCancel();
      return grpc::Status::OK;
    }
    return testing::MakeStatus({grpc::StatusCode::RESOURCE_EXHAUSTED, "CLASS_SHED"});
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 2; }));
  watcher.Stop();
  EXPECT_THAT(requests.offsets(), ::testing::ElementsAre(10, 12));
  EXPECT_EQ(listener.Calls(), "commit 10-12 x2, commit 12-14 x2");
}

TEST(MetadataWatcherTest, GoesToTheLeaderThatARefusalNames) {
  FakeController follower;
  FakeController leader;
  follower.on_subscribe = [&](const v1::SubscribeRequest&, FakeStream&) {
    return testing::NotController(leader.endpoint());
  };
  leader.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
    EXPECT_EQ(request.source(), v1::SOURCE_LEADER);
    stream.SendHello(request.resume_from(), false);
    stream.SendCommit(10, At(11, 1), {NoOp()});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  MetadataWatcherOptions options = ResumeAt(10);
  options.source = v1::SOURCE_LEADER;
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({follower.endpoint()}), std::move(options), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return watcher.status().counters.commits == 1; }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().endpoint, leader.endpoint());
  EXPECT_EQ(follower.call_count(), 1);
}

TEST(MetadataWatcherTest, StopsForGoodWhenARecordIsRefused) {
  FakeController server;
  server.on_subscribe = [](const v1::SubscribeRequest& request, FakeStream& stream) {
    stream.SendHello(request.resume_from(), false);
    stream.SendCommit(10, At(11, 1), {NoOp()});
    stream.WaitForCancel();
    return grpc::Status::OK;
  };
  testing::RecordingListener listener;
  listener.refuse = true;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), ResumeAt(10), listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return !watcher.status().fatal_error.empty(); }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().position->offset(), 10);
}

TEST(MetadataWatcherTest, StopsForGoodInTheWrongCluster) {
  FakeController server;
  server.on_subscribe = [](const v1::SubscribeRequest&, FakeStream&) {
    return testing::MakeStatus({grpc::StatusCode::FAILED_PRECONDITION, "INCONSISTENT_CLUSTER_ID"});
  };
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({server.endpoint()}), {}, listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return !watcher.status().fatal_error.empty(); }));
  EXPECT_EQ(server.call_count(), 1);
}

TEST(MetadataWatcherTest, StopsWhileNobodyIsThere) {
  testing::RecordingListener listener;
  MetadataWatcher watcher(EndpointsOf({FakeController().endpoint()}), {}, listener);
  watcher.Start();
  EXPECT_TRUE(Eventually([&] { return !watcher.status().last_error.empty(); }));
  watcher.Stop();
  EXPECT_EQ(watcher.status().stream_count, 0);
}

}  // namespace
}  // namespace kvorum::client
