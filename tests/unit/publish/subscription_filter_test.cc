#include "server/publish/subscription_filter.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "server/base/errors.h"

namespace kvorum::publish {
namespace {

using Change = std::function<void(v1::SubscribeRequest&)>;

absl::StatusOr<std::shared_ptr<const SubscriptionFilter>> Parse(const Change& change) {
  v1::SubscribeRequest request;
  change(request);
  return SubscriptionFilter::Parse(request);
}

uint64_t IdOf(const Change& change) {
  const auto filter = Parse(change);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() && *filter != nullptr ? (*filter)->id() : 0;
}

TEST(SubscriptionFilterTest, NoneAtAllIsTheUnfilteredStream) {
  EXPECT_EQ(*Parse([](auto&) {}), nullptr);
  EXPECT_EQ(*Parse([](auto& r) { r.mutable_filter(); }), nullptr);
}

TEST(SubscriptionFilterTest, RefusesWhatItCannotHonour) {
  const auto refused = [](const Change& change) {
    const auto filter = Parse(change);
    return GetErrorReason(filter.status()) == ErrorReason::kInvalidRequest;
  };
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->add_kinds("no_op"); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->add_kinds("remove_topic"); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->add_kinds(""); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->add_topic_ids("x"); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->add_topic_names(""); }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_filter()->set_hosted_by_broker(true); }));
  EXPECT_TRUE(refused([](auto& r) {
    for (int i = 0; i < 1001; ++i) {
      r.mutable_filter()->add_topic_names(std::to_string(i));
    }
  }));
  EXPECT_TRUE(refused([](auto& r) {
    for (int i = 0; i < 101; ++i) {
      r.mutable_filter()->add_topic_prefixes(std::to_string(i));
    }
  }));
}

TEST(SubscriptionFilterTest, EqualFiltersHaveOneIdAndOthersAnother) {
  const uint64_t ab = IdOf([](auto& r) {
    r.mutable_filter()->add_topic_names("a");
    r.mutable_filter()->add_topic_names("b");
  });
  const uint64_t ba = IdOf([](auto& r) {
    r.mutable_filter()->add_topic_names("b");
    r.mutable_filter()->add_topic_names("a");
    r.mutable_filter()->add_topic_names("b");
  });
  EXPECT_EQ(ab, ba);
  EXPECT_NE(ab, 0u);
  EXPECT_NE(ab, IdOf([](auto& r) { r.mutable_filter()->add_topic_names("ab"); }));
  EXPECT_NE(ab, IdOf([](auto& r) {
              r.mutable_filter()->add_topic_prefixes("a");
              r.mutable_filter()->add_topic_prefixes("b");
            }));
  const auto hosted = [](int32_t broker) {
    return IdOf([broker](auto& r) {
      r.set_broker_id(broker);
      r.mutable_filter()->set_hosted_by_broker(true);
    });
  };
  EXPECT_NE(hosted(1), hosted(2));
  EXPECT_EQ(hosted(1), hosted(1));
}

TEST(SubscriptionFilterTest, RecordsThatMakeChangeAndRemoveOneThingAreOfOneKind) {
  v1::MetadataRecord record;
  record.mutable_partition_change();
  EXPECT_EQ(KindOf(record), "partition");
  record.mutable_remove_entry();
  EXPECT_EQ(KindOf(record), "entry");
  record.mutable_broker_registration_change();
  EXPECT_EQ(KindOf(record), "broker");
  record.mutable_no_op();
  EXPECT_EQ(KindOf(record), "");
}

}  // namespace
}  // namespace kvorum::publish
