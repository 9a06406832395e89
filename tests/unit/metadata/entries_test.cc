#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

v1::PutEntryRequest Put(std::string key, std::string value) {
  v1::PutEntryRequest request;
  request.set_key(std::move(key));
  request.set_value(std::move(value));
  return request;
}

v1::DeleteEntryRequest Delete(std::string key) {
  v1::DeleteEntryRequest request;
  request.set_key(std::move(key));
  return request;
}

v1::GetEntryRequest Get(std::string key) {
  v1::GetEntryRequest request;
  request.set_key(std::move(key));
  return request;
}

TEST(PutEntryTest, VersionIsTheOffsetOfItsRecord) {
  World world;
  const Offset offset = world.next_offset();
  EXPECT_EQ(world.Run(Put("a", "1"))->version(), offset.value());
  EXPECT_EQ(world.Run(Put("a", "2"))->version(), offset.value() + 1);
  const auto read = world.Read(Get("a"));
  EXPECT_EQ(read->entry().value(), "2");
  EXPECT_EQ(read->entry().version(), offset.value() + 1);
}

TEST(PutEntryTest, VersionsGrowAcrossDeleteAndPut) {
  World world;
  const int64_t first = world.Run(Put("a", "1"))->version();
  ASSERT_TRUE(world.Run(Delete("a")).ok());
  EXPECT_GT(world.Run(Put("a", "1"))->version(), first);
}

TEST(PutEntryTest, ExpectedVersionZeroMeansTheKeyMustNotExist) {
  World world;
  v1::PutEntryRequest request = Put("a", "1");
  request.set_expected_version(0);
  EXPECT_TRUE(world.Run(request).ok());
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidUpdateVersion));
}

TEST(PutEntryTest, RefusesAStaleOrFutureExpectedVersion) {
  World world;
  const int64_t version = world.Run(Put("a", "1"))->version();
  v1::PutEntryRequest request = Put("a", "2");
  for (const int64_t wrong : {version - 1, version + 1}) {
    request.set_expected_version(wrong);
    EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidUpdateVersion)) << wrong;
  }
  request.set_expected_version(version);
  EXPECT_TRUE(world.Run(request).ok());
}

TEST(PutEntryTest, RefusesANegativeExpectedVersion) {
  World world;
  v1::PutEntryRequest request = Put("a", "1");
  request.set_expected_version(-1);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST(PutEntryTest, RefusesKeysThatAreNoPrintableUtf8Of1To512Bytes) {
  World world;
  for (const std::string& key :
       {std::string(), std::string(513, 'k'), std::string("a\0b", 3), std::string("a\nb"),
        std::string("\x7f"), std::string("\xc2\x85"), std::string("\xff"), std::string("\xc0\x80"),
        std::string("\xed\xa0\x80"), std::string("\xe2\x82")}) {
    EXPECT_THAT(world.Run(Put(key, "")), HasReason(ErrorReason::kInvalidKey)) << key;
    EXPECT_THAT(world.Run(Delete(key)), HasReason(ErrorReason::kInvalidKey)) << key;
    EXPECT_THAT(world.Read(Get(key)), HasReason(ErrorReason::kInvalidKey)) << key;
  }
  for (const std::string& key :
       {std::string("k"), std::string(512, 'k'), std::string("schlüssel/鍵/🔑")}) {
    EXPECT_TRUE(world.Run(Put(key, "")).ok()) << key;
  }
}

TEST(PutEntryTest, RefusesValuesOver64KiB) {
  World world;
  EXPECT_TRUE(world.Run(Put("a", std::string(64 << 10, 'v'))).ok());
  EXPECT_THAT(world.Run(Put("a", std::string((64 << 10) + 1, 'v'))),
              HasReason(ErrorReason::kValueTooLarge));
}

TEST(DeleteEntryTest, RemovesTheKeyAndThenDoesNotKnowIt) {
  World world;
  ASSERT_TRUE(world.Run(Put("a", "1")).ok());
  EXPECT_TRUE(world.Run(Delete("a")).ok());
  EXPECT_THAT(world.Run(Delete("a")), HasReason(ErrorReason::kUnknownKey));
  EXPECT_THAT(world.Read(Get("a")), HasReason(ErrorReason::kUnknownKey));
}

TEST(DeleteEntryTest, ComparesVersions) {
  World world;
  const int64_t version = world.Run(Put("a", "1"))->version();
  v1::DeleteEntryRequest request = Delete("a");
  request.set_expected_version(0);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRequest));
  request.set_expected_version(version + 1);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidUpdateVersion));
  request.set_expected_version(version);
  EXPECT_TRUE(world.Run(request).ok());
}

TEST(ListEntriesTest, GivesKeysUnderThePrefixInOrder) {
  World world;
  for (const char* key : {"b/2", "a", "b/1", "b0", "b", "c"}) {
    ASSERT_TRUE(world.Run(Put(key, key)).ok());
  }
  v1::ListEntriesRequest request;
  request.set_prefix("b/");
  const auto page = world.Read(request);
  ASSERT_EQ(page->entries_size(), 2);
  EXPECT_EQ(page->entries(0).key(), "b/1");
  EXPECT_EQ(page->entries(1).key(), "b/2");
  EXPECT_EQ(page->entries(1).value(), "b/2");
  EXPECT_EQ(page->page().next_page_token(), "");
}

TEST(ListEntriesTest, KeysOnlyLeavesValuesOut) {
  World world;
  ASSERT_TRUE(world.Run(Put("a", "value")).ok());
  v1::ListEntriesRequest request;
  request.set_keys_only(true);
  const auto page = world.Read(request);
  EXPECT_EQ(page->entries(0).value(), "");
  EXPECT_GT(page->entries(0).version(), 0);
}

TEST(ListEntriesTest, PagesJoinToTheWholeList) {
  World world;
  std::vector<std::string> expected;
  for (int i = 100; i < 125; ++i) {
    expected.push_back("k" + std::to_string(i));
    ASSERT_TRUE(world.Run(Put(expected.back(), "")).ok());
  }
  std::vector<std::string> listed;
  v1::ListEntriesRequest request;
  request.set_prefix("k");
  request.mutable_page()->set_page_size(10);
  int pages = 0;
  do {
    const auto page = world.Read(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Entry& entry : page->entries()) {
      listed.push_back(entry.key());
    }
    request.mutable_page()->set_page_token(page->page().next_page_token());
    ++pages;
  } while (!request.page().page_token().empty());
  EXPECT_EQ(listed, expected);
  EXPECT_EQ(pages, 3);
}

TEST(ListEntriesTest, APageHoldsAtMostOneMebibyte) {
  World world;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(world.Run(Put("k" + std::to_string(i), std::string(64 << 10, 'v'))).ok());
  }
  const auto page = world.Read(v1::ListEntriesRequest());
  EXPECT_LE(page->ByteSizeLong(), (size_t{1} << 20) + 1'024);
  EXPECT_EQ(page->entries_size(), 15);
  EXPECT_NE(page->page().next_page_token(), "");
}

TEST(ListEntriesTest, RefusesTokensOfAnotherListAndBadSizes) {
  World world;
  for (const char* key : {"a1", "a2", "b1"}) {
    ASSERT_TRUE(world.Run(Put(key, "")).ok());
  }
  v1::ListEntriesRequest request;
  request.set_prefix("a");
  request.mutable_page()->set_page_size(1);
  const std::string token = world.Read(request)->page().next_page_token();
  request.mutable_page()->set_page_token(token);
  EXPECT_TRUE(world.Read(request).ok());
  request.set_prefix("b");
  EXPECT_THAT(world.Read(request), HasReason(ErrorReason::kInvalidRequest));
  request.set_prefix("a");
  for (const std::string& wrong :
       {token + "0", token + "00", token.substr(2), std::string("x"), std::string(5'000, '0')}) {
    request.mutable_page()->set_page_token(wrong);
    EXPECT_THAT(world.Read(request), HasReason(ErrorReason::kInvalidRequest)) << wrong;
  }
  request.mutable_page()->clear_page_token();
  for (const int32_t size : {-1, 10'001}) {
    request.mutable_page()->set_page_size(size);
    EXPECT_THAT(world.Read(request), HasReason(ErrorReason::kInvalidRequest)) << size;
  }
}

TEST(ListEntriesTest, RefusesABadPrefix) {
  World world;
  v1::ListEntriesRequest request;
  request.set_prefix(std::string(513, 'p'));
  EXPECT_THAT(world.Read(request), HasReason(ErrorReason::kInvalidKey));
}

TEST(EntriesDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  ASSERT_TRUE(world.Run(Put("a", "1")).ok());
  v1::MetadataRecord removal;
  removal.mutable_remove_entry()->set_key("b");
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70), "offset 2: no such key.*\"b\"");
  v1::MetadataRecord old;
  old.mutable_entry()->set_key("a");
  old.mutable_entry()->set_version(1);
  EXPECT_EXIT(world.Apply({old}), testing::ExitedWithCode(70), "offset 2: .*over version 1");
}

}  // namespace
}  // namespace kvorum
