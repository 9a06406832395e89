#include "server/base/persistent_map.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/random.h"

namespace kvorum {
namespace {

using Map = PersistentMap<int, std::string>;

template <typename Tree, typename Model>
void ExpectSame(const Tree& tree, const Model& model) {
  ASSERT_EQ(tree.size(), model.size());
  auto expected = model.begin();
  for (const auto& [key, value] : tree) {
    ASSERT_EQ(key, expected->first);
    ASSERT_EQ(value, expected->second);
    ++expected;
  }
  tree.CheckStructure();
}

TEST(PersistentMapTest, IsEmptyWhenNew) {
  const Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_TRUE(map.begin() == map.end());
  EXPECT_EQ(map.Find(1), nullptr);
}

TEST(PersistentMapTest, AnExchangeGivesWhatWasThere) {
  Map map;
  EXPECT_EQ(map.Exchange(1, "one"), std::nullopt);
  const Map before = map;
  EXPECT_EQ(map.Exchange(1, "uno"), "one");
  EXPECT_EQ(*map.Find(1), "uno");
  EXPECT_EQ(*before.Find(1), "one");
  EXPECT_EQ(map.size(), 1u);
}

TEST(PersistentMapTest, FindsWhatWasInserted) {
  Map map;
  EXPECT_TRUE(map.Insert(2, "two"));
  EXPECT_TRUE(map.Insert(1, "one"));
  EXPECT_FALSE(map.Insert(2, "deux"));
  EXPECT_EQ(map.size(), 2u);
  EXPECT_EQ(*map.Find(2), "deux");
  EXPECT_EQ(map.Find(3), nullptr);
}

TEST(PersistentMapTest, EraseOfAnAbsentKeyChangesNothing) {
  Map map;
  map.Insert(1, "one");
  EXPECT_FALSE(map.Erase(2));
  EXPECT_TRUE(map.Erase(1));
  EXPECT_TRUE(map.empty());
}

TEST(PersistentMapTest, BoundsFallBetweenKeys) {
  Map map;
  for (int i = 0; i < 100; i += 10) {
    map.Insert(i, "");
  }
  EXPECT_EQ(map.lower_bound(20)->key, 20);
  EXPECT_EQ(map.lower_bound(21)->key, 30);
  EXPECT_EQ(map.upper_bound(20)->key, 30);
  EXPECT_EQ(map.lower_bound(-5)->key, 0);
  EXPECT_TRUE(map.lower_bound(91) == map.end());
  EXPECT_TRUE(map.upper_bound(90) == map.end());
}

TEST(PersistentMapTest, WalksOnFromABound) {
  Map map;
  std::vector<int> expected;
  for (int i = 0; i < 200; ++i) {
    map.Insert(i, "");
    if (i >= 77) {
      expected.push_back(i);
    }
  }
  std::vector<int> walked;
  for (auto it = map.lower_bound(77); it != map.end(); ++it) {
    walked.push_back(it->key);
  }
  EXPECT_EQ(walked, expected);
}

TEST(PersistentMapTest, FindMutableChangesOneCopyOnly) {
  Map map;
  for (int i = 0; i < 50; ++i) {
    map.Insert(i, "old");
  }
  const Map before = map;
  *map.FindMutable(25) = "new";
  EXPECT_EQ(*map.Find(25), "new");
  EXPECT_EQ(*before.Find(25), "old");
  EXPECT_EQ(map.FindMutable(50), nullptr);
}

TEST(PersistentMapTest, NestedMapsAreCopiedOnWrite) {
  PersistentMap<int, Map> outer;
  outer.Insert(1, Map());
  outer.FindMutable(1)->Insert(7, "seven");
  const PersistentMap<int, Map> before = outer;
  outer.FindMutable(1)->Insert(7, "sept");
  EXPECT_EQ(*before.Find(1)->Find(7), "seven");
  EXPECT_EQ(*outer.Find(1)->Find(7), "sept");
}

TEST(PersistentMapTest, KeysMayViewTheirOwnValues) {
  PersistentMap<std::string_view, std::shared_ptr<const std::string>> map;
  const auto put = [&map](std::string text) {
    auto value = std::make_shared<const std::string>(std::move(text));
    const std::string_view key(*value);
    map.Insert(key, std::move(value));
  };
  for (int i = 0; i < 300; ++i) {
    put("a key that is longer than a small string " + std::to_string(i % 50));
  }
  map.CheckStructure();
  EXPECT_EQ(map.size(), 50u);
  for (const auto& [key, value] : map) {
    EXPECT_EQ(key.data(), value->data());
  }
}

TEST(PersistentMapTest, StaysBalancedUnderAscendingAndDescendingKeys) {
  Map up;
  Map down;
  for (int i = 0; i < 4'096; ++i) {
    up.Insert(i, "");
    down.Insert(-i, "");
  }
  up.CheckStructure();
  down.CheckStructure();
}

// Values count their instances: every node must be freed exactly once.
struct Counted {
  static inline int alive = 0;
  Counted() { ++alive; }
  Counted(const Counted&) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
};

TEST(PersistentMapTest, FreesEveryNodeWithTheLastCopy) {
  {
    PersistentMap<int, Counted> map;
    std::vector<PersistentMap<int, Counted>> versions;
    for (int i = 0; i < 500; ++i) {
      map.Insert(i * 7 % 101, Counted());
      if (i % 10 == 0) {
        versions.push_back(map);
      }
      map.Erase(i * 3 % 101);
    }
    versions.resize(20);
    EXPECT_GT(Counted::alive, 0);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(PersistentMapTest, AgreesWithStdMapUnderRandomChangesAndKeepsOldVersions) {
  Random random(17);
  PersistentMap<int64_t, int64_t> map;
  std::map<int64_t, int64_t> model;
  std::vector<std::pair<PersistentMap<int64_t, int64_t>, std::map<int64_t, int64_t>>> versions;
  for (int step = 0; step < 20'000; ++step) {
    const int64_t key = random.Between(0, 400);
    switch (random.Below(4)) {
      case 0:
        ASSERT_EQ(map.Erase(key), model.erase(key) == 1);
        break;
      case 1:
        if (int64_t* value = map.FindMutable(key)) {
          *value = step;
          model[key] = step;
        }
        break;
      default:
        ASSERT_EQ(map.Insert(key, step), model.insert_or_assign(key, step).second);
    }
    if (step % 500 == 0) {
      ExpectSame(map, model);
      versions.emplace_back(map, model);
    }
    const auto lower = map.lower_bound(key);
    const auto expected = model.lower_bound(key);
    ASSERT_EQ(lower == map.end(), expected == model.end());
    if (expected != model.end()) {
      ASSERT_EQ(lower->key, expected->first);
    }
  }
  for (const auto& [old_map, old_model] : versions) {
    ExpectSame(old_map, old_model);
  }
}

// Images are read on other threads while the loop makes the next; TSan judges this test.
TEST(PersistentMapTest, OldCopiesAreReadAndDroppedElsewhereWhileNewOnesAreMade) {
  PersistentMap<int, int> map;
  for (int i = 0; i < 1'000; ++i) {
    map.Insert(i, 0);
  }
  std::vector<std::thread> readers;
  for (int round = 1; round <= 8; ++round) {
    readers.emplace_back([copy = map, round]() mutable {
      int64_t sum = 0;
      for (const auto& [key, value] : copy) {
        sum += value;
      }
      EXPECT_EQ(sum, 1'000 * (round - 1));
      copy = PersistentMap<int, int>();
    });
    for (int i = 0; i < 1'000; ++i) {
      map.Insert(i, round);
    }
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  map.CheckStructure();
}

}  // namespace
}  // namespace kvorum
