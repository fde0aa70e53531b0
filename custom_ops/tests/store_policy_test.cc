// What is evicted and what is admitted.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "store/eviction/frequency_sketch.h"
#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

TEST(StorePolicy, EvictsTheLeastWorthOfAllShards) {
  Store store(100 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_EQ(Put(&store, i, 1000, 1000 * (1 + (i * 37) % 100)), Rejection::kNone);
  }
  for (std::uint64_t i = 100; i < 140; ++i)
    ASSERT_EQ(Put(&store, i, 1000, 1000000), Rejection::kNone);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(Has(&store, i), (i * 37) % 100 >= 40) << i;
}

TEST(StorePolicy, HitsRaiseWorth) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(Put(&store, i, 1000, 1000), Rejection::kNone);
  for (std::uint64_t i = 0; i < 10; i += 2) {
    for (int hit = 0; hit < 3; ++hit) EXPECT_TRUE(Has(&store, i));
  }
  for (std::uint64_t i = 10; i < 15; ++i) ASSERT_EQ(Put(&store, i, 1000, 2000), Rejection::kNone);
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_EQ(Has(&store, i), i % 2 == 0) << i;
}

TEST(StorePolicy, SmallCheapToHoldBeatsLarge) {
  Store store(ChargeOf(100000) + ChargeOf(100));
  ASSERT_EQ(Put(&store, 1, 100000, 1000000), Rejection::kNone);  // 10 ns a byte
  ASSERT_EQ(Put(&store, 2, 100, 10000), Rejection::kNone);       // 38 ns a byte
  Want(&store, 3);
  ASSERT_EQ(Put(&store, 3, 50000, 1000000), Rejection::kNone);  // 20 ns a byte
  EXPECT_FALSE(Has(&store, 1));
  EXPECT_TRUE(Has(&store, 2));
}

TEST(StorePolicy, RefusesWhatIsWorthLessThanItsVictims) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(Put(&store, i, 1000, 100000), Rejection::kNone);
  EXPECT_EQ(Put(&store, 10, 1000, 10), Rejection::kNotWorth);
  EXPECT_EQ(store.stats().entries, 10u);
  EXPECT_EQ(store.stats().rejected, 1u);
}

// The cheap entries alone would not make room: nothing may be lost for a offer that is refused.
TEST(StorePolicy, ARefusedCandidateCostsNobody) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_EQ(Put(&store, i, 1000, 1000), Rejection::kNone);
  for (std::uint64_t i = 5; i < 10; ++i) ASSERT_EQ(Put(&store, i, 1000, 1000000), Rejection::kNone);
  Want(&store, 10);
  EXPECT_EQ(Put(&store, 10, 8000, 100000), Rejection::kNotWorth);
  EXPECT_EQ(store.stats().entries, 10u);
  EXPECT_EQ(store.stats().evictions, 0u);
  Want(&store, 11);
  EXPECT_EQ(Put(&store, 11, 3000, 100000), Rejection::kNone);  // three of the cheap ones suffice
  EXPECT_EQ(store.stats().entries, 8u);
  for (std::uint64_t i = 5; i < 10; ++i) EXPECT_TRUE(Has(&store, i));
}

TEST(StorePolicy, EntriesInUseArePassedOver) {
  Store store(4 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_EQ(Put(&store, i, 1000, 1000), Rejection::kNone);
  std::vector<EntryRef> readers;
  for (std::uint64_t i = 0; i < 3; ++i) readers.push_back(Get(&store, i));
  Want(&store, 10);
  EXPECT_EQ(Put(&store, 10, 1000, 1000000), Rejection::kNone);
  EXPECT_FALSE(Has(&store, 3));
  readers.push_back(Get(&store, 10));
  Want(&store, 11);
  EXPECT_EQ(Put(&store, 11, 1000, 1000000), Rejection::kNotWorth);  // all four are being read
  EXPECT_EQ(store.stats().entries, 4u);
  readers.clear();
  EXPECT_EQ(Put(&store, 11, 1000, 1000000), Rejection::kNone);
}

TEST(StorePolicy, ANewLoadReplacesWhatWasOnceDear) {
  Store store(100 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 100; ++i)
    ASSERT_EQ(Put(&store, i, 1000, 1000000), Rejection::kNone);
  std::uint64_t until_first = 0;
  while (Put(&store, 1000 + until_first, 1000, 100000) == Rejection::kNotWorth) {
    ASSERT_LT(++until_first, 1000u);
  }
  EXPECT_GT(until_first, 100u);  // a scan of the store's size does not flush it
}

TEST(StorePolicy, LookupsBeforeAdmissionCount) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(Put(&store, i, 1000, 5000), Rejection::kNone);
  EXPECT_EQ(Put(&store, 10, 1000, 1000), Rejection::kNotWorth);
  for (int miss = 0; miss < 8; ++miss) EXPECT_FALSE(Has(&store, 10));
  EXPECT_EQ(Put(&store, 10, 1000, 1000), Rejection::kNone);
}

TEST(StorePolicy, SizesMayBeMixedWithoutEndingOverBudget) {
  Store store(1 << 20);
  std::mt19937_64 random(1);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const std::uint64_t n = random() % 500;
    if (!Has(&store, n)) Put(&store, n, 1 + Mix(n) % 50000, 1 + Mix(n + 7) % 1000000);
    ASSERT_LE(store.stats().bytes, store.budget());
  }
  EXPECT_GT(store.stats().bytes, store.budget() / 2);
  EXPECT_EQ(Clear(&store) > 0, true);
  EXPECT_EQ(store.stats().bytes, 0u);
}

// The same operations under other secrets, which give every key other bits, decide the same.
TEST(StorePolicy, DecisionsDoNotDependOnTheBitsOfKeys) {
  std::vector<bool> present[2];
  StoreStats stats[2];
  for (std::uint64_t secret = 0; secret < 2; ++secret) {
    Store store(100 * ChargeOf(1000));
    std::mt19937_64 random(7);
    for (int step = 0; step < 6000; ++step) {
      const std::uint64_t n = random() % (1 + random() % 600);
      const std::uint64_t number = n + 100000 * secret;
      // Many ties: three sizes, four costs.
      if (!Has(&store, number)) Put(&store, number, 500 + n % 3 * 900, 1000 * (1 + n % 4));
    }
    for (std::uint64_t n = 0; n < 600; ++n) {
      present[secret].push_back(static_cast<bool>(store.Peek(KeyNumber(n + 100000 * secret))));
    }
    stats[secret] = store.stats();
  }
  EXPECT_EQ(present[0], present[1]);
  EXPECT_EQ(stats[0].evictions, stats[1].evictions);
  EXPECT_EQ(stats[0].rejected, stats[1].rejected);
  EXPECT_GT(stats[0].evictions, 100u);
  EXPECT_GT(stats[0].rejected, 0u);
}

TEST(FrequencySketch, CountsAndForgets) {
  FrequencySketch sketch;
  EXPECT_EQ(sketch.Estimate(KeyNumber(1)), 0);
  for (std::uint64_t i = 0; i < 100; ++i) sketch.Add(KeyNumber(1));
  EXPECT_EQ(sketch.Estimate(KeyNumber(1)), 100);
  for (std::uint64_t i = 0; i < 300; ++i) sketch.Add(KeyNumber(1));
  EXPECT_EQ(sketch.Estimate(KeyNumber(1)), 255);
  for (std::uint64_t i = 0; i < 10 * 8192; ++i) sketch.Add(KeyNumber(100 + i));
  EXPECT_LT(sketch.Estimate(KeyNumber(1)), 10);
}

TEST(FrequencySketch, OneHitKeysStayNearOne) {
  FrequencySketch sketch;
  for (std::uint64_t i = 0; i < 4000; ++i) sketch.Add(KeyNumber(i));
  int above = 0;
  for (std::uint64_t i = 0; i < 4000; ++i) above += sketch.Estimate(KeyNumber(i)) > 1;
  EXPECT_LT(above, 400);
}

}  // namespace
}  // namespace actcache
