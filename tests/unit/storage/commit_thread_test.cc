#include "storage/rocksdb/commit_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <numeric>

#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using testing::Appending;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::LogBuilder;
using ::testing::SizeIs;

// A commit thread over a disk that writes nothing. The first group blocks until Release(), so that
// a test decides what gathers behind it.
class CommitThreadTest : public ::testing::Test {
 protected:
  void Start(const CommitLimits& limits = {}) {
    thread_ = std::make_unique<CommitThread>(
        limits,
        CommitThread::Callbacks{.write = [this](const auto& group) { return WriteGroup(group); },
                                .after_group =
                                    [this] {
                                      ++between_groups_;
                                      return after_group_;
                                    },
                                .on_error = [this](const absl::Status&) { ++errors_; }});
  }

  absl::Status WriteGroup(const std::vector<CommitRequest>& group) {
    std::vector<uint64_t> ids;
    for (const CommitRequest& request : group) {
      ids.push_back(request.write.id.value());
    }
    groups_.push_back(ids);
    if (groups_.size() == 1) {
      entered_.set_value();
      released_.get_future().wait();
    }
    return groups_.size() == failing_group_ ? absl::InternalError("fsync") : absl::OkStatus();
  }

  void Submit(uint64_t id, StorageWrite write = {}) {
    write.id = WriteId(id);
    CommitRequest request;
    request.write = std::move(write);
    request.done = [this, id](const absl::Status& status) {
      completed_.push_back(id);
      statuses_.push_back(status);
    };
    thread_->Submit(std::move(request));
  }

  // Submits a first write and waits until it is being written.
  void SubmitBlocker() {
    Submit(0);
    entered_.get_future().wait();
  }

  void ReleaseAndStop() {
    released_.set_value();
    thread_->Stop();
  }

  std::promise<void> entered_;
  std::promise<void> released_;
  size_t failing_group_ = 0;  // counted from 1
  // Of the commit thread, read after Stop().
  std::vector<std::vector<uint64_t>> groups_;
  std::vector<uint64_t> completed_;
  std::vector<absl::Status> statuses_;
  int between_groups_ = 0;
  absl::Status after_group_;
  int errors_ = 0;
  std::unique_ptr<CommitThread> thread_;
};

TEST_F(CommitThreadTest, MergesAllThatGatheredIntoOneGroup) {
  Start();
  SubmitBlocker();
  for (uint64_t id = 1; id <= 100; ++id) {
    Submit(id);
  }
  ReleaseAndStop();
  ASSERT_THAT(groups_, SizeIs(2));
  std::vector<uint64_t> expected(101);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(groups_[1], std::vector<uint64_t>(expected.begin() + 1, expected.end()));
  EXPECT_EQ(completed_, expected);
}

TEST_F(CommitThreadTest, GroupsAreBoundedInWrites) {
  CommitLimits limits;
  limits.max_group_writes = 2;
  Start(limits);
  SubmitBlocker();
  for (uint64_t id = 1; id <= 5; ++id) {
    Submit(id);
  }
  ReleaseAndStop();
  EXPECT_THAT(groups_,
              ElementsAre(ElementsAre(0), ElementsAre(1, 2), ElementsAre(3, 4), ElementsAre(5)));
}

TEST_F(CommitThreadTest, GroupsAreBoundedInBytesButTakeOneWriteAtLeast) {
  CommitLimits limits;
  limits.max_group_bytes = 3000;
  Start(limits);
  SubmitBlocker();
  LogBuilder log;
  for (uint64_t id = 1; id <= 3; ++id) {
    Submit(id, Appending({log.Append(Epoch(1), 1, 1000)}));
  }
  Submit(4, Appending({log.Append(Epoch(1), 1, 10000)}));
  Submit(5);
  ReleaseAndStop();
  EXPECT_THAT(groups_, ElementsAre(ElementsAre(0), ElementsAre(1, 2), ElementsAre(3),
                                   ElementsAre(4), ElementsAre(5)));
}

TEST_F(CommitThreadTest, ATruncationBeginsAGroup) {
  Start();
  SubmitBlocker();
  StorageWrite truncating;
  truncating.truncate_to = Offset(0);
  Submit(1);
  Submit(2, truncating);
  Submit(3);
  ReleaseAndStop();
  EXPECT_THAT(groups_, ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2, 3)));
}

TEST_F(CommitThreadTest, FailsTheGroupAndEverythingAfterItWithoutAnotherTry) {
  failing_group_ = 2;
  CommitLimits limits;
  limits.max_group_writes = 2;
  Start(limits);
  SubmitBlocker();
  for (uint64_t id = 1; id <= 5; ++id) {
    Submit(id);
  }
  ReleaseAndStop();
  EXPECT_THAT(groups_, SizeIs(2));  // nothing was written after the failure
  EXPECT_THAT(completed_, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_TRUE(statuses_[0].ok());
  for (size_t i = 1; i < statuses_.size(); ++i) {
    EXPECT_TRUE(absl::IsInternal(statuses_[i])) << i;
  }
  EXPECT_EQ(errors_, 1);
}

TEST_F(CommitThreadTest, AFullQueueFailsTheWriteInItsTurnAndAllLaterOnes) {
  CommitLimits limits;
  limits.max_queued_writes = 2;
  Start(limits);
  SubmitBlocker();
  for (uint64_t id = 1; id <= 4; ++id) {
    Submit(id);
  }
  ReleaseAndStop();
  EXPECT_THAT(groups_, ElementsAre(ElementsAre(0), ElementsAre(1, 2)));
  EXPECT_THAT(completed_, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_TRUE(statuses_[2].ok());
  EXPECT_TRUE(absl::IsResourceExhausted(statuses_[3]));
  EXPECT_TRUE(absl::IsResourceExhausted(statuses_[4]));
  EXPECT_EQ(errors_, 1);
}

TEST_F(CommitThreadTest, WorkBetweenGroupsFailsOnlyWhatComesLater) {
  after_group_ = absl::InternalError("guard");
  Start();
  SubmitBlocker();
  Submit(1);
  ReleaseAndStop();
  ASSERT_THAT(statuses_, SizeIs(2));
  EXPECT_TRUE(statuses_[0].ok());
  EXPECT_TRUE(absl::IsInternal(statuses_[1]));
  EXPECT_THAT(groups_, SizeIs(1));
  EXPECT_EQ(between_groups_, 1);
  EXPECT_EQ(errors_, 1);
}

TEST_F(CommitThreadTest, StopCompletesWhatWasSubmitted) {
  Start();
  SubmitBlocker();
  Submit(1);
  ReleaseAndStop();
  EXPECT_THAT(completed_, ElementsAre(0, 1));
}

}  // namespace
}  // namespace kvorum
