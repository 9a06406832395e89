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
