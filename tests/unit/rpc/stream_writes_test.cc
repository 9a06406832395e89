#include "server/rpc/stream_writes.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "server/publish/committed_log.h"

namespace kvorum::rpc {
namespace {

class NoLog : public publish::CommittedLog {
 public:
  void ReadCommitted(OffsetAndEpoch, size_t, ReadDone) override {}
  void ConfirmCommittedEnd(EndDone) override {}
};

// Notes what it is told, and where.
class NotingWriter : public StreamWrites::Writer {
 public:
  void OnWriteEnded(Now, publish::UpdatePublisher&, bool ok) override {
    told.push_back(ok);
    thread = std::this_thread::get_id();
  }

  std::vector<bool> told;  // publish loop only
  std::thread::id thread;
};

class StreamWritesTest : public testing::Test {
 protected:
  StreamWritesTest() { runner_.Start(); }

  // Runs `task` on the publish loop and waits for it.
  void RunOnLoop(const std::function<void()>& task) {
    std::promise<void> done;
    ASSERT_TRUE(runner_.Post([&](Now, publish::UpdatePublisher&) {
      task();
      done.set_value();
    }));
    done.get_future().wait();
  }

  NoLog log_;
  PublishRunner runner_{publish::PublisherConfig(), log_};
  StreamWrites writes_{runner_};
};

TEST_F(StreamWritesTest, TellsTheLoopOfEveryWriteInOrder) {
  NotingWriter writer;
  std::thread::id loop;
  std::vector<bool> sent;
  for (int i = 0; i < 1000; ++i) {
    sent.push_back(i % 3 == 0);
    writes_.OnEnd(writer, sent.back());
  }
  // Comes after all that was reported before it was posted: a stream may go then.
  RunOnLoop([&] {
    loop = std::this_thread::get_id();
    EXPECT_EQ(writer.told, sent);
  });
  EXPECT_EQ(writer.thread, loop);
}

TEST_F(StreamWritesTest, GathersWhatEndsWhileTheLoopIsBusy) {
  NotingWriter writer;
  std::promise<void> all_reported;
  std::promise<void> busy;
  runner_.Post([&](Now, publish::UpdatePublisher&) {
    busy.set_value();
    all_reported.get_future().wait();
    EXPECT_TRUE(writer.told.empty());
  });
  busy.get_future().wait();
  writes_.OnEnd(writer, true);
  size_t told_before_this = 0;
  runner_.Post([&](Now, publish::UpdatePublisher&) { told_before_this = writer.told.size(); });
  // Reported after that was posted, and yet told before it: they joined the one that waited.
  writes_.OnEnd(writer, true);
  writes_.OnEnd(writer, false);
  all_reported.set_value();
  RunOnLoop([&] { EXPECT_EQ(writer.told, (std::vector<bool>{true, true, false})); });
  EXPECT_EQ(told_before_this, 3u);
}

TEST_F(StreamWritesTest, AThreadThatRestsComesBackThoughTheLoopGoesOn) {
  // gRPC's threads must not depend on how long a turn of the loop takes.
  NotingWriter writer;
  RunOnLoop([&] {
    writes_.OnBegin();
    writes_.OnBegin();
    std::thread poller([&] {
      for (int i = 0; i < 100; ++i) {
        writes_.OnEnd(writer, true);
      }
    });
    poller.join();
    EXPECT_TRUE(writer.told.empty());
  });
  RunOnLoop([&] { EXPECT_EQ(writer.told.size(), 100u); });
}

}  // namespace
}  // namespace kvorum::rpc
