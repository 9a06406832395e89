// Strong integers, UUIDs and the seeded generator.

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/ids.h"
#include "server/base/random.h"
#include "server/base/uuid.h"

namespace kvorum {
namespace {

template <typename A, typename B>
concept Addable = requires(A a, B b) {
  a + b;
};
template <typename A, typename B>
concept Comparable = requires(A a, B b) {
  a == b;
};

TEST(StrongIntTest, DoesNotMixWithOtherNames) {
  EXPECT_FALSE((Addable<Offset, Epoch>));
  EXPECT_FALSE((Addable<Offset, Offset>));
  EXPECT_FALSE((Comparable<NodeId, BrokerId>));
  EXPECT_FALSE((std::is_convertible_v<int64_t, Offset>));
}

TEST(StrongIntTest, CountsWithTheRawType) {
  EXPECT_EQ(Offset{5} + 2, Offset{7});
  EXPECT_EQ(Offset{5} - 2, Offset{3});
  EXPECT_EQ(Offset{5} - Offset{3}, 2);
  EXPECT_LT(Offset{5}, Offset{6});
  EXPECT_EQ(fmt::format("{}", Offset{42}), "42");
}

TEST(IdsTest, ALaterEpochBeatsALongerLog) {
  EXPECT_TRUE(IsUpToDate({Offset{1}, Epoch{2}}, {Offset{9}, Epoch{1}}));
  EXPECT_FALSE(IsUpToDate({Offset{9}, Epoch{1}}, {Offset{1}, Epoch{2}}));
  EXPECT_FALSE(IsUpToDate({Offset{8}, Epoch{1}}, {Offset{9}, Epoch{1}}));
  EXPECT_TRUE(IsUpToDate({Offset{9}, Epoch{1}}, {Offset{9}, Epoch{1}}));
}

TEST(UuidTest, SurvivesTextAndBytes) {
  Random random(1);
  const Uuid id = Uuid::FromRandom(random);
  EXPECT_EQ(Uuid::Parse(id.ToString()), id);
  EXPECT_EQ(Uuid::FromBytes(id.ToBytes()), id);
  EXPECT_FALSE(id.is_zero());
}

TEST(UuidTest, IsOfVersionFour) {
  Random random(2);
  const std::string text = Uuid::FromRandom(random).ToString();
  EXPECT_EQ(text[14], '4');
  EXPECT_THAT(std::string("89ab"), testing::HasSubstr(std::string(1, text[19])));
}

TEST(UuidTest, ParsesBothCasesAndNothingElse) {
  const std::string lower = "0123abcd-0123-4567-89ab-0123456789ab";
  EXPECT_EQ(Uuid::Parse("0123ABCD-0123-4567-89AB-0123456789AB"), Uuid::Parse(lower));
  EXPECT_EQ(Uuid::Parse(lower)->ToString(), lower);
  EXPECT_EQ(Uuid::Parse(""), std::nullopt);
  EXPECT_EQ(Uuid::Parse(lower + "0"), std::nullopt);
  EXPECT_EQ(Uuid::Parse("0123abcdx0123-4567-89ab-0123456789ab"), std::nullopt);
  EXPECT_EQ(Uuid::Parse("0123abcg-0123-4567-89ab-0123456789ab"), std::nullopt);
  EXPECT_EQ(Uuid::FromBytes("fifteen bytes.."), std::nullopt);
}

TEST(RandomTest, RepeatsWithItsSeed) {
  Random a(9);
  Random b(9);
  Random c(10);
  std::vector<uint64_t> from_a;
  std::vector<uint64_t> from_b;
  std::vector<uint64_t> from_c;
  for (int i = 0; i < 10; ++i) {
    from_a.push_back(a.Next());
    from_b.push_back(b.Next());
    from_c.push_back(c.Next());
  }
  EXPECT_EQ(from_a, from_b);
  EXPECT_NE(from_a, from_c);
}

TEST(RandomTest, StaysInItsRangesAndReachesTheirEnds) {
  Random random(3);
  std::set<int64_t> drawn;
  for (int i = 0; i < 1'000; ++i) {
    drawn.insert(random.Between(-2, 2));
    ASSERT_LT(random.Below(7), 7u);
  }
  EXPECT_THAT(drawn, testing::ElementsAre(-2, -1, 0, 1, 2));
}

TEST(RandomTest, AForkGoesItsOwnWay) {
  Random random(4);
  Random fork = random.Fork();
  EXPECT_NE(fork.Next(), random.Next());
}

}  // namespace
}  // namespace kvorum
