#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/image_text.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using Request = v1::AlterUserScramCredentialsRequest;
constexpr auto kSha256 = v1::SCRAM_MECHANISM_SHA_256;
constexpr auto kSha512 = v1::SCRAM_MECHANISM_SHA_512;
const std::string kSalt = "SECRETSALT";
const std::string kStored(32, 'S');
const std::string kServer(32, 'V');

Request::Upsertion& Upsert(Request& request, const std::string& user,
                           v1::ScramMechanism mechanism = kSha256) {
  Request::Upsertion& upsertion = *request.add_upsertions();
  upsertion.set_user(user);
  upsertion.set_mechanism(mechanism);
  upsertion.set_iterations(4'096);
  upsertion.set_salt(kSalt);
  upsertion.set_stored_key(mechanism == kSha256 ? kStored : kStored + kStored);
  upsertion.set_server_key(mechanism == kSha256 ? kServer : kServer + kServer);
  return upsertion;
}

Request Upsert(const std::string& user, v1::ScramMechanism mechanism = kSha256) {
  Request request;
  Upsert(request, user, mechanism);
  return request;
}

void Delete(Request& request, const std::string& user, v1::ScramMechanism mechanism = kSha256) {
  request.add_deletions()->set_user(user);
  request.mutable_deletions(request.deletions_size() - 1)->set_mechanism(mechanism);
}

class CredentialsTest : public testing::Test {
 protected:
  v1::ItemStatus Run(const Request& request) { return world_.Run(request)->results(0).status(); }
  World world_;
};

TEST_F(CredentialsTest, SetReplaceAndDelete) {
  EXPECT_THAT(Run(Upsert("alice")), ItemIsOk());
  EXPECT_THAT(Run(Upsert("alice", kSha512)), ItemIsOk());
  Request change = Upsert("alice");
  change.mutable_upsertions(0)->set_iterations(8'192);
  EXPECT_THAT(Run(change), ItemIsOk());
  EXPECT_EQ(world_.image().credentials().credentials.size(), 2u);
  Request remove;
  Delete(remove, "alice");
  Delete(remove, "alice", kSha512);
  const auto response = world_.Run(remove);
  ASSERT_EQ(response->results_size(), 1) << "one for each user";
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_TRUE(world_.image().credentials().credentials.empty());
  EXPECT_EQ(world_.image().StateHash(), 0u);
}

TEST_F(CredentialsTest, UnchangedCredentialsEmitNothing) {
  ASSERT_THAT(Run(Upsert("alice")), ItemIsOk());
  EXPECT_TRUE(world_.Plan(Upsert("alice"))->records.empty());
}

TEST_F(CredentialsTest, UnacceptableCredentials) {
  std::vector<Request> bad(10, Upsert("alice"));
  bad[0].mutable_upsertions(0)->set_user("");
  bad[1].mutable_upsertions(0)->set_user("a\nb");
  bad[2].mutable_upsertions(0)->set_user(std::string(256, 'u'));
  bad[3].mutable_upsertions(0)->set_iterations(4'095);
  bad[4].mutable_upsertions(0)->set_iterations(16'385);
  bad[5].mutable_upsertions(0)->set_salt("short");
  bad[6].mutable_upsertions(0)->set_salt(std::string(256, 's'));
  bad[7].mutable_upsertions(0)->set_stored_key(std::string(31, 'k'));
  bad[8].mutable_upsertions(0)->clear_server_key();
  bad[9].mutable_upsertions(0)->set_mechanism(kSha512);  // keys of the other's length
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_THAT(Run(bad[i]), ItemHasReason(ErrorReason::kUnacceptableCredential)) << i;
  }
  Request edge = Upsert("alice");
  edge.mutable_upsertions(0)->set_iterations(16'384);
  EXPECT_THAT(Run(edge), ItemIsOk());
}

TEST_F(CredentialsTest, UnknownMechanismsAreUnsupported) {
  for (const auto mechanism :
       {v1::SCRAM_MECHANISM_UNSPECIFIED, static_cast<v1::ScramMechanism>(3)}) {
    Request request = Upsert("alice");
    request.mutable_upsertions(0)->set_mechanism(mechanism);
    EXPECT_THAT(Run(request), ItemHasReason(ErrorReason::kUnsupportedSaslMechanism));
    Request remove;
    Delete(remove, "alice", mechanism);
    EXPECT_THAT(Run(remove), ItemHasReason(ErrorReason::kUnsupportedSaslMechanism));
  }
}

TEST_F(CredentialsTest, TheSameCredentialTwiceIsADuplicate) {
  Request request = Upsert("alice");
  Upsert(request, "alice");
  EXPECT_THAT(Run(request), ItemHasReason(ErrorReason::kDuplicateResource));
  ASSERT_THAT(Run(Upsert("alice")), ItemIsOk());
  Request both = Upsert("alice");
  Delete(both, "alice");
  EXPECT_THAT(Run(both), ItemHasReason(ErrorReason::kDuplicateResource));
}

TEST_F(CredentialsTest, DeletingWhatIsNotThereIsNotFound) {
  Request remove;
  Delete(remove, "nobody");
  EXPECT_THAT(Run(remove), ItemHasReason(ErrorReason::kResourceNotFound));
}

TEST_F(CredentialsTest, AUserIsChangedAsAWholeOrNotAtAll) {
  Request request = Upsert("alice");
  Upsert(request, "alice", kSha512).set_iterations(1);
  Upsert(request, "bob");
  const auto response = world_.Run(request);
  ASSERT_EQ(response->results_size(), 2);
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kUnacceptableCredential));
  EXPECT_THAT(response->results(1).status(), ItemIsOk());
  EXPECT_EQ(world_.image().credentials().credentials.size(), 1u);
  request.set_all_or_nothing(true);
  EXPECT_TRUE(world_.Plan(request)->records.empty());
}

TEST_F(CredentialsTest, LimitsOfARequestAndOfTheCluster) {
  EXPECT_THAT(world_.Run(Request()), HasReason(ErrorReason::kInvalidRequest));
  Request many;
  for (int i = 0; i <= kMaxCredentialsPerRequest; ++i) {
    Delete(many, std::to_string(i));
  }
  EXPECT_THAT(world_.Run(many), HasReason(ErrorReason::kPolicyViolation));
  world_.limits().max_scram_credentials = 1;
  EXPECT_THAT(Run(Upsert("alice")), ItemIsOk());
  EXPECT_THAT(Run(Upsert("bob")), ItemHasReason(ErrorReason::kLimitExceeded));
}

TEST_F(CredentialsTest, DescribeTellsMechanismsAndIterationsInPages) {
  for (const std::string user : {"carol", "alice", "bob"}) {
    ASSERT_THAT(Run(Upsert(user)), ItemIsOk());
    ASSERT_THAT(Run(Upsert(user, kSha512)), ItemIsOk());
  }
  v1::DescribeUserScramCredentialsRequest request;
  request.mutable_page()->set_page_size(2);
  std::vector<std::string> users;
  do {
    const auto page = world_.Read(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const auto& result : page->results()) {
      users.push_back(result.user());
      EXPECT_EQ(result.credentials_size(), 2);
      EXPECT_EQ(result.credentials(1).mechanism(), kSha512);
      EXPECT_EQ(result.credentials(1).iterations(), 4'096);
    }
    request.mutable_page()->set_page_token(page->page().next_page_token());
  } while (!request.page().page_token().empty());
  EXPECT_THAT(users, testing::ElementsAre("alice", "bob", "carol"));

  v1::DescribeUserScramCredentialsRequest named;
  for (const char* user : {"bob", "nobody", "alice", "alice"}) {
    named.add_users(user);
  }
  const auto response = world_.Read(named);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kResourceNotFound));
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kDuplicateResource));
}

// Neither in answers, nor in dumps, nor in errors.
TEST_F(CredentialsTest, NothingTellsASaltOrAKey) {
  ASSERT_THAT(Run(Upsert("alice")), ItemIsOk());
  Request bad = Upsert("alice");
  bad.mutable_upsertions(0)->set_iterations(1);
  Request longer = Upsert("alice");
  longer.mutable_upsertions(0)->set_stored_key(kStored + "S");
  v1::MetadataRecord shown = world_.log().front().second;
  HideSecrets(shown);
  for (const std::string& text :
       {world_.Read(v1::DescribeUserScramCredentialsRequest())->ShortDebugString(),
        ToText(world_.image()), Run(bad).message(), Run(longer).message(),
        shown.ShortDebugString()}) {
    EXPECT_NE(text, "");
    EXPECT_EQ(text.find(kSalt), std::string::npos) << text;
    EXPECT_EQ(text.find("SSSS"), std::string::npos) << text;
    EXPECT_EQ(text.find("VVVV"), std::string::npos) << text;
  }
  v1::MetadataRecord torn = world_.log().front().second;
  torn.mutable_user_scram_credential()->set_mechanism(static_cast<v1::ScramMechanism>(9));
  EXPECT_EXIT(world_.Apply({torn}), testing::ExitedWithCode(70),
              "offset 2: mechanism 9 of user alice\n$");
}

TEST(CredentialsDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  v1::MetadataRecord removal;
  removal.mutable_remove_user_scram_credential()->set_user("alice");
  removal.mutable_remove_user_scram_credential()->set_mechanism(kSha256);
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70),
              "offset 1: no credential 1 of user alice");
}

}  // namespace
}  // namespace kvorum
