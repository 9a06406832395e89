#include "server/node/commit_applier.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/base/check.h"
#include "server/metadata/record_codec.h"
#include "server/node/ports.h"

namespace kvorum {
namespace {

class CommitApplierTest : public testing::Test, public CommitFeed {
 protected:
  void OnCommit(publish::CommittedUpdate update) override { commits.push_back(std::move(update)); }
  void OnImage(std::shared_ptr<const MetadataImage> image) override {
    images.push_back(std::move(image));
  }
  void OnLeader(publish::LeaderView) override {}

  static RecordBatch Control(int64_t base, int32_t epoch) {
    return MakeBatch(Offset(base), 1, Epoch(epoch), true, 5,
                     std::make_shared<const std::string>("raft's own"), 0);
  }
  static RecordBatch Put(int64_t base, int32_t epoch, const std::string& key) {
    v1::MetadataRecord record;
    record.mutable_entry()->set_key(key);
    record.mutable_entry()->set_version(base);
    return MakeBatch(Offset(base), 1, Epoch(epoch), false, 1000 + base,
                     std::make_shared<const std::string>(EncodeRecords({record})), 0);
  }

  std::vector<publish::CommittedUpdate> commits;
  std::vector<std::shared_ptr<const MetadataImage>> images;
  CommitApplier applier{*this, 0};
};

TEST_F(CommitApplierTest, AppliesDataAndPassesEverythingOn) {
  const RecordBatch put = Put(1, 1, "a");
  applier.Apply({Control(0, 1), put});
  EXPECT_EQ(applier.applied_end(), Offset(2));
  EXPECT_NE(applier.image()->entries().Find("a"), nullptr);
  EXPECT_EQ(applier.image()->provenance(), (Provenance{Offset(2), Epoch(1), 1001}));
  ASSERT_EQ(commits.size(), 2u);
  EXPECT_EQ(commits[0].payload, nullptr);
  EXPECT_EQ(commits[1].payload.get(), put.payload.get()) << "the same bytes";
  ASSERT_EQ(images.size(), 1u) << "one image ends the run";
  EXPECT_EQ(images[0], applier.image());
}

TEST_F(CommitApplierTest, DoesNothingWithoutBatches) {
  applier.Apply({});
  EXPECT_TRUE(commits.empty());
  EXPECT_TRUE(images.empty());
}

TEST_F(CommitApplierTest, ReachesTheSameImageHoweverTheLogIsCut) {
  applier.Apply({Control(0, 1), Put(1, 1, "a"), Control(2, 2), Put(3, 2, "b"), Put(4, 2, "a")});
  CommitApplier one_by_one(*this, 0);
  for (const RecordBatch& batch :
       {Control(0, 1), Put(1, 1, "a"), Control(2, 2), Put(3, 2, "b"), Put(4, 2, "a")}) {
    one_by_one.Apply({batch});
  }
  EXPECT_EQ(one_by_one.image()->StateHash(), applier.image()->StateHash());
  EXPECT_EQ(one_by_one.image()->provenance(), applier.image()->provenance());
}

using CommitApplierDeathTest = CommitApplierTest;

TEST_F(CommitApplierDeathTest, DiesOnAGap) {
  EXPECT_DEATH(applier.Apply({Control(1, 1)}), "batch at 1 after 0");
}

TEST_F(CommitApplierDeathTest, StopsWithAnExitOfItsOwnAtARecordOfANewerRelease) {
  const RecordBatch newer =
      MakeBatch(Offset(0), 1, Epoch(1), false, 0,
                std::make_shared<const std::string>(std::string("\x7a\x03\xfa\x07\x00", 5)), 0);
  EXPECT_EXIT(applier.Apply({newer}), testing::ExitedWithCode(kExitUnsupportedRecord),
              "cannot read on: committed batch at 0: .*newer one");
}

TEST_F(CommitApplierDeathTest, DiesOnWhatItCannotDecode) {
  const RecordBatch garbage = MakeBatch(Offset(0), 1, Epoch(1), false, 0,
                                        std::make_shared<const std::string>("\xff\xff\xff"), 0);
  EXPECT_DEATH(applier.Apply({garbage}), "committed batch at 0");
}

TEST_F(CommitApplierDeathTest, DiesOnAWrongCount) {
  RecordBatch batch = Put(1, 1, "a");
  batch.record_count = 2;
  EXPECT_DEATH(applier.Apply({Control(0, 1), batch}), "says 2 records and holds 1");
}

}  // namespace
}  // namespace kvorum
