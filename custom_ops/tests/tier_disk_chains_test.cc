// Chains in a disk store: what an eviction leaves of them is of use.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <vector>

#include "tier/disk/disk_tier.h"
#include "tier/disk/schema.h"
#include "tier_disk_testing.h"

namespace actcache {
namespace {

constexpr std::uint64_t kLength = 24;
constexpr std::size_t kUnitBytes = 20'000;

std::uint64_t Unit(std::uint64_t chain, std::uint64_t at) { return chain * 1000 + at; }

Record UnitRecord(const DiskTier& tier, std::uint64_t chain, std::uint64_t at,
                  std::uint64_t cost_ns, bool follows, std::size_t bytes = kUnitBytes) {
  Record record = TestRecord(Unit(chain, at), bytes, tier.secret(), 0, cost_ns);
  if (follows && at > 0) record.Follow(TestKey(Unit(chain, at - 1)));
  return record;
}

class DiskChainsTest : public DiskStoreTest {
 protected:
  static void PutChain(DiskTier* tier, std::uint64_t chain, std::uint64_t from, std::uint64_t to,
                       std::uint64_t cost_ns, bool follows) {
    std::vector<Record> records;
    for (std::uint64_t at = from; at < to; ++at) {
      records.push_back(UnitRecord(*tier, chain, at, cost_ns, follows));
    }
    tier->Put(records.data(), records.size());
  }

  // Share of the units that are there without all that they follow.
  static double Unreachable(DiskTier* tier, std::uint64_t chains) {
    std::uint64_t there = 0;
    std::uint64_t lost = 0;
    for (std::uint64_t chain = 0; chain < chains; ++chain) {
      bool whole = true;
      for (std::uint64_t at = 0; at < kLength; ++at) {
        if (GetOne(tier, Unit(chain, at))) {
          ++there;
          if (!whole) ++lost;
        } else {
          whole = false;
        }
      }
    }
    EXPECT_GT(there, 100u);
    return static_cast<double>(lost) / static_cast<double>(there);
  }

  // A process keeps beginnings in memory, and asks the store for what follows alone; costs vary.
  static double UnreachableUnderPressure(DiskTier* tier, bool follows) {
    constexpr std::uint64_t kChains = 90;  // of which about a third finds room
    std::mt19937_64 random(7);
    for (std::uint64_t chain = 0; chain < kChains; ++chain) {
      for (std::uint64_t from = 0; from < kLength; from += 8) {
        PutChain(tier, chain, from, from + 8, 500'000 + random() % 1'000'000, follows);
      }
      const std::uint64_t used = random() % (chain + 1);
      for (std::uint64_t at = 8 + random() % 8; at < kLength; ++at) GetOne(tier, Unit(used, at));
      tier->Maintain();
    }
    return Unreachable(tier, kChains);
  }
};

TEST_F(DiskChainsTest, EndsLeaveBeforeBeginnings) {
  DiskTier plain(store() + "-plain", kMinDiskBudget);
  const double before = UnreachableUnderPressure(&plain, /*follows=*/false);
  EXPECT_GT(before, 0.1) << "as long as entries do not say what they follow";
  DiskTier tier(store(), kMinDiskBudget);
  const double now = UnreachableUnderPressure(&tier, /*follows=*/true);
  EXPECT_EQ(now, 0);
  std::printf("unreachable: %.3f of the bytes without chains, %.3f with them\n", before, now);
}

TEST_F(DiskChainsTest, WhatFollowsNothingIsNotStored) {
  DiskTier tier(store(), 0);
  const Record orphan = UnitRecord(tier, 1, 5, 1000, true);
  tier.Put(&orphan, 1);
  EXPECT_FALSE(GetOne(&tier, Unit(1, 5)));
  EXPECT_EQ(tier.stats().refused, 1u);
  const Record large = UnitRecord(tier, 1, 5, 1000, true, kLarge);
  tier.Put(&large, 1);
  EXPECT_FALSE(GetOne(&tier, Unit(1, 5)));
  EXPECT_EQ(tier.stats().refused, 2u);
}

TEST_F(DiskChainsTest, SmallAndLargeUnitsOfAChainAreStoredInItsOrder) {
  DiskTier tier(store(), 0);
  std::vector<Record> records;
  for (std::uint64_t at = 0; at < 4; ++at) {
    records.push_back(UnitRecord(tier, 1, at, 1000, true, at % 2 == 0 ? kSmall : kLarge));
  }
  tier.Put(records.data(), records.size());
  for (std::uint64_t at = 0; at < 4; ++at) EXPECT_TRUE(GetOne(&tier, Unit(1, at))) << at;
  EXPECT_EQ(tier.stats().refused, 0u);
}

// Each is worth more than what follows it, whoever was used.
TEST_F(DiskChainsTest, WhoUsesAnEndUsesItsBeginning) {
  DiskTier tier(store(), 0);
  for (std::uint64_t at = 0; at < kLength; ++at) {
    PutChain(&tier, 1, at, at + 1, 1000 * (1 + at % 5), true);
  }
  for (int uses = 0; uses < 3; ++uses) {
    EXPECT_TRUE(GetOne(&tier, Unit(1, kLength - 1)));
    EXPECT_TRUE(GetOne(&tier, Unit(1, 11)));
    tier.Maintain();
  }
  const auto index = OpenIndex(store(), Database::Access::kRead, 100);
  Statement worths(index.get(), "SELECT worth FROM entries ORDER BY id");
  std::optional<double> last;
  std::uint64_t count = 0;
  for (; worths.Step(); ++count) {
    if (last) {
      EXPECT_LT(worths.Real(0), *last) << count;
    }
    last = worths.Real(0);
  }
  EXPECT_EQ(count, kLength);
}

TEST_F(DiskChainsTest, AStoreOfAnEarlierVersionIsReadAndWritten) {
  {
    DiskTier tier(store(), 0);
    PutOne(&tier, 1, kSmall);
  }
  OpenIndex(store(), Database::Access::kWrite, 100)
      ->Execute("ALTER TABLE entries DROP COLUMN follows");
  DiskTier tier(store(), 0);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 1), 1));
  PutChain(&tier, 2, 0, 2, 1000, true);
  EXPECT_TRUE(GetOne(&tier, Unit(2, 1)));
  EXPECT_EQ(tier.stats().errors, 0u);
}

}  // namespace
}  // namespace actcache
