// Which records of a tier become entries, and of what kind.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "ops/tier_search.h"

namespace actcache {
namespace {

constexpr std::uint64_t kHour = 3'600'000'000'000;

// What is taken of a record that expires then.
std::optional<FetchedUnit> Taken(std::uint64_t expires_ns) {
  RecordFields fields;
  fields.made_ns = UnixNow();
  fields.expires_ns = expires_ns;
  const TensorSpec spec{1, {2}, 8};
  Record record = Record::Make(fields, &spec, 1);
  EXPECT_TRUE(record);
  std::memset(record.payload(0), 5, 8);
  return TierSearch::Taken(3, {std::move(record), 1}, FindLimits{SteadyNow()});
}

// Tiers leave out what has expired when they look. It may expire before it is taken.
TEST(TierEntries, WhatExpiresOnItsWayIsNotTaken) {
  EXPECT_FALSE(Taken(UnixNow() - 1));
  const std::optional<FetchedUnit> unit = Taken(UnixNow() + kHour);
  ASSERT_TRUE(unit);
  EXPECT_GT(unit->ttl_ns, kHour / 2);
  EXPECT_LE(unit->ttl_ns, kHour);
  EXPECT_EQ(unit->unit, 3u);
  EXPECT_EQ(unit->tier, 1u);
  const std::optional<FetchedUnit> lasting = Taken(0);
  ASSERT_TRUE(lasting);
  EXPECT_EQ(lasting->ttl_ns, 0u);
}

}  // namespace
}  // namespace actcache
