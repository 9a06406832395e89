// A majority is lost for good: one survivor becomes the cluster, and nobody else ever again.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "kvorum/v1/offline.pb.h"
#include "kvorum/v1/raft.grpc.pb.h"
#include "kvorum/v1/stream.grpc.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kBadDirectory = 72;
constexpr int kSurvivor = 2;
constexpr int kOldMember = 1;

CommandResult Kvorumd(std::vector<std::string> args) {
  args.insert(args.begin(), Cluster::BinaryPath("kvorumd"));
  return RunCommand(args);
}

v1::RecoveryReport Inspect(const std::vector<std::string>& data_dirs) {
  std::vector<std::string> args = {"recover", "inspect", "--output", "json"};
  for (const std::string& data_dir : data_dirs) {
    args.insert(args.end(), {"--data-dir", data_dir});
  }
  const CommandResult result = Kvorumd(args);
  v1::RecoveryReport report;
  const auto status = google::protobuf::util::JsonStringToMessage(result.output, &report);
  EXPECT_TRUE(status.ok()) << result.output;
  return report;
}

class RecoveryTest : public ::testing::Test {
 protected:
  // Three controllers with data and a snapshot on each; then all stop at once.
  void SetUp() override {
    cluster_.StartAll();
    WriteLoad load(cluster_, 2, "before/");
    ASSERT_TRUE(load.AwaitMore(300));
    load.Stop();
    const auto state = AwaitConvergence(cluster_);
    ASSERT_TRUE(state.has_value());
    written_ = load.acknowledged();
    state_hash_ = state->state_hash;
    old_position_ = cluster_.Describe(0)->header().applied();
    for (int i = 0; i < cluster_.size(); ++i) {
      cluster_.Kill(i);
    }
  }

  static ClusterOptions Options() {
    ClusterOptions options = QuietOptions();
    options.run_flags.insert(options.run_flags.end(), {"--snapshot-max-log-bytes", "10000",
                                                       "--log-retention-bytes", "20000"});
    return options;
  }

  CommandResult Apply(const std::vector<std::string>& more) {
    std::vector<std::string> args = {"recover", "apply", "--data-dir",
                                     cluster_.data_dir(kSurvivor)};
    args.insert(args.end(), more.begin(), more.end());
    return Kvorumd(args);
  }

  // Of `request`'s stream: how it ended.
  client::CallError Subscribe(const v1::SubscribeRequest& request) {
    const auto stub =
        v1::MetadataStreamService::NewStub(MakeRawChannel(cluster_.endpoint(kSurvivor)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    const auto stream = stub->Subscribe(&context, request);
    v1::SubscribeResponse updates;
    while (stream->Read(&updates)) {
    }
    return client::ParseStatus(stream->Finish());
  }

  Cluster cluster_{Options()};
  Entries written_;
  std::string state_hash_;
  v1::Position old_position_;
};

TEST_F(RecoveryTest, InspectTellsTheBestLogAndWhatMayBeLost) {
  const v1::RecoveryReport all =
      Inspect({cluster_.data_dir(0), cluster_.data_dir(1), cluster_.data_dir(2)});
  EXPECT_TRUE(all.has_quorum());
  EXPECT_FALSE(all.may_lose_committed());
  EXPECT_EQ(all.directories_size(), 3);
  EXPECT_EQ(all.missing_voters_size(), 0);

  const v1::RecoveryReport one = Inspect({cluster_.data_dir(kSurvivor), "/nowhere"});
  EXPECT_FALSE(one.has_quorum());
  EXPECT_TRUE(one.may_lose_committed());
  EXPECT_EQ(one.best_data_dir(), cluster_.data_dir(kSurvivor));
  EXPECT_EQ(one.voter_count(), 3);
  EXPECT_EQ(one.missing_voters_size(), 2);
  EXPECT_EQ(one.unreadable_size(), 1);
  EXPECT_GT(one.directories(0).committed_at_least(), 0) << "of its snapshots";
  const CommandResult text =
      Kvorumd({"recover", "inspect", "--data-dir", cluster_.data_dir(kSurvivor)});
  EXPECT_THAT(text.output, HasSubstr("--yes-lose-data"));
  EXPECT_EQ(Kvorumd({"recover", "inspect", "--data-dir", "/nowhere"}).exit_code, 71);
}

TEST_F(RecoveryTest, ApplyWantsToBeToldAndChangesNothingBefore) {
  const std::string before = ReadFile(cluster_.data_dir(kSurvivor) + "/meta.properties");
  const CommandResult refused = Apply({});
  EXPECT_EQ(refused.exit_code, kBadDirectory);
  EXPECT_THAT(refused.output, HasSubstr("--yes-lose-data"));
  EXPECT_EQ(ReadFile(cluster_.data_dir(kSurvivor) + "/meta.properties"), before);
  cluster_.StartAll();
  EXPECT_TRUE(AwaitConvergence(cluster_).has_value());
  EXPECT_THAT(Apply({"--yes-lose-data"}).output, HasSubstr("another process"));
}

TEST_F(RecoveryTest, TheSurvivorServesEverythingItHadAndTheOldMembersAreStrangers) {
  std::filesystem::remove_all(cluster_.data_dir(0));
  const CommandResult applied = Apply({"--yes-lose-data"});
  ASSERT_EQ(applied.exit_code, 0) << applied.output;
  EXPECT_EQ(Apply({"--yes-lose-data"}).exit_code, kBadDirectory) << "once is enough";
  const CommandResult verified = Kvorumd({"verify", "--data-dir", cluster_.data_dir(kSurvivor)});
  EXPECT_EQ(verified.exit_code, 0) << verified.output;

  cluster_.Start(kSurvivor);
  ASSERT_EQ(cluster_.WaitForLeader(), kSurvivor) << cluster_.ReadLog(kSurvivor);
  const auto client = cluster_.MakeClient();
  EXPECT_EQ(ListAll(*client), written_);
  const auto description = cluster_.Describe(kSurvivor);
  ASSERT_TRUE(description.has_value());
  EXPECT_EQ(description->state_hash(), state_hash_);
  EXPECT_EQ(description->voters_size(), 1);
  EXPECT_NE(description->header().applied().generation(), old_position_.generation());
  EXPECT_TRUE(PutUntilAcknowledged(*client, "after", "v").ok());

  // A broker that resumes where it was must notice.
  v1::SubscribeRequest subscribe;
  *subscribe.mutable_resume_from() = old_position_;
  EXPECT_EQ(v1::ErrorReason_Name(Subscribe(subscribe).reason), "GENERATION_MISMATCH");

  // One that was believed lost comes back: it asks for votes and gets none, and nothing changes.
  const int32_t epoch = cluster_.Describe(kSurvivor)->header().leader_epoch();
  cluster_.Start(kOldMember);
  ASSERT_TRUE(Eventually([&] {
    const auto answer = cluster_.Describe(kOldMember);
    return answer.has_value() && answer->role() == "prospective";
  })) << cluster_.ReadLog(kOldMember);
  v1::VoteRequest vote;
  vote.mutable_header()->set_cluster_id("test");
  vote.mutable_header()->set_generation(old_position_.generation());
  vote.mutable_header()->mutable_sender()->set_node_id(kOldMember + 1);
  vote.mutable_header()->mutable_receiver()->set_node_id(kSurvivor + 1);
  for (auto* key :
       {vote.mutable_header()->mutable_sender(), vote.mutable_header()->mutable_receiver()}) {
    std::string id("\0\0\0\0\0\0\x40\0\x80\0\0\0\0\0\0\0", 16);
    id[15] = static_cast<char>(key->node_id());
    key->set_directory_id(id);
  }
  vote.set_epoch(epoch + 1);
  vote.set_last_epoch(epoch);
  vote.set_log_end_offset(1'000'000);
  const RawAnswer answer = Call(MakeRawChannel(cluster_.controller_endpoint(kSurvivor)),
                                {"kvorum.v1.RaftService/Vote", vote.SerializeAsString()});
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  v1::VoteResponse response;
  ASSERT_TRUE(response.ParseFromString(answer.bytes));
  EXPECT_EQ(response.header().error(), v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID);
  EXPECT_FALSE(response.vote_granted());
  EXPECT_EQ(cluster_.Describe(kSurvivor)->header().leader_epoch(), epoch);
  EXPECT_NE(cluster_.Describe(kOldMember)->role(), "follower");

  // A new disk for node 1, formatted for the new generation, gets everything from the survivor.
  const v1::ReplicaStatus& voter = description->voters(0);
  const CommandResult formatted = Kvorumd(
      {"format", "--data-dir", cluster_.data_dir(0), "--cluster-id", "test", "--node-id", "1",
       "--generation", fmt::format("{:016x}", description->header().applied().generation()),
       "--initial-voters",
       fmt::format("{}@{}:{},1@{}:00000000-0000-4000-8000-0000000000aa", voter.node_id(),
                   cluster_.controller_endpoint(kSurvivor), voter.directory_id(),
                   cluster_.controller_endpoint(0))});
  ASSERT_EQ(formatted.exit_code, 0) << formatted.output;
  cluster_.Start(0);
  EXPECT_TRUE(AwaitConvergence(cluster_, {0, kSurvivor}).has_value());
  EXPECT_EQ(cluster_.Describe(kSurvivor)->voters_size(), 1) << "an observer, until it is added";

  // And over a restart.
  cluster_.Kill(kSurvivor);
  cluster_.Start(kSurvivor);
  ASSERT_EQ(cluster_.WaitForLeader(), kSurvivor);
  EXPECT_EQ(ListAll(*client).size(), written_.size() + 1);
}

}  // namespace
}  // namespace kvorum::testing
