// Which records of a tier become entries.
#include <gtest/gtest.h>

#include <cstring>

#include "base/clock.h"
#include "ops/tier_search.h"
#include "region/registry.h"
#include "store/store.h"

namespace actcache {
namespace {

constexpr std::uint64_t kHour = 3'600'000'000'000;

// The entry of a record that expires then.
EntryRef Entered(std::uint64_t expires_ns) {
  const Region& region = Registry::Process().InternRegion("entries of tiers", "f00d");
  RecordFields fields;
  fields.fingerprint = region.fingerprint;
  fields.made_ns = UnixNow();
  fields.expires_ns = expires_ns;
  const TensorSpec spec{1, {2}, 8};
  Record record = Record::Make(fields, &spec, 1);
  EXPECT_TRUE(record);
  std::memset(record.payload(0), 5, 8);
  Key key{};
  std::memset(&key, 0x77, sizeof(key));
  const FindLimits limits{SteadyNow()};
  EntryRef entry = TierSearch::Enter(region, 0, key, record, limits, /*replace=*/true);
  Store::Process().Invalidate({}, SteadyNow());
  return entry;
}

// Tiers leave out what has expired when they look. It may expire before it is taken.
TEST(TierEntries, WhatExpiresOnItsWayIsNotTaken) {
  EXPECT_FALSE(Entered(UnixNow() - 1));
  const EntryRef entry = Entered(UnixNow() + kHour);
  ASSERT_TRUE(entry);
  EXPECT_LE(entry->TimeToLive(SteadyNow()), kHour + kTickNs);
  EXPECT_TRUE(Entered(0));
}

}  // namespace
}  // namespace actcache
