// Whose room it is: pins, quotas of namespaces, large values, what is worth nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

Selection OfRegion(std::uint32_t region) {
  Selection selection;
  selection.regions = {region};
  return selection;
}

TEST(StorePins, AreNeverEvictedForRoom) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 10; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000, {0, n < 4 ? 1u : 0u}), Rejection::kNone);
  }
  EXPECT_EQ(store.Pin(OfRegion(1), 0), 4u);
  EXPECT_EQ(store.Pin(OfRegion(1), 0), 0u);
  EXPECT_EQ(store.stats().pinned_entries, 4u);
  EXPECT_EQ(store.usage(1).pinned_bytes, 4 * ChargeOf(1000));
  EXPECT_EQ(store.usage(0).pinned_entries, 0u);
  for (std::uint64_t n = 10; n < 40; ++n) Put(&store, n, 1000, 1000000);
  for (std::uint64_t n = 0; n < 10; ++n) EXPECT_EQ(Has(&store, n), n < 4);
  EXPECT_EQ(store.Unpin({}, 0), 4u);
  EXPECT_EQ(store.stats().pinned_bytes, 0u);
  for (std::uint64_t n = 40; n < 80; ++n) Put(&store, n, 1000, 100000000);
  for (std::uint64_t n = 0; n < 10; ++n) EXPECT_FALSE(Has(&store, n));
}

TEST(StorePins, AStoreFullOfPinsRefuses) {
  Store store(3 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 3; ++n) ASSERT_EQ(Put(&store, n, 1000, 1), Rejection::kNone);
  store.Pin({}, 0);
  Want(&store, 3);
  EXPECT_EQ(Put(&store, 3, 1000, 1000000), Rejection::kNotWorth);
  EXPECT_EQ(store.stats().entries, 3u);
}

TEST(StorePins, GoLastWhenTheBudgetIsLowered) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 10; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, n < 4 ? n + 1 : 1000, {0, n < 4 ? 1u : 0u}), Rejection::kNone);
  }
  store.Pin(OfRegion(1), 0);
  store.SetBudget(5 * ChargeOf(1000));
  EXPECT_EQ(store.usage(1).entries, 4u);
  EXPECT_EQ(store.usage(0).entries, 1u);
  store.SetBudget(2 * ChargeOf(1000));
  EXPECT_EQ(store.stats().pinned_entries, 2u);
  EXPECT_EQ(store.stats().pinned_bytes, store.stats().bytes);
  EXPECT_TRUE(Has(&store, 2) && Has(&store, 3));  // the least worth of them went
  store.SetBudget(0);
  EXPECT_EQ(store.stats().pinned_entries, 0u);
  EXPECT_EQ(store.stats().bytes, 0u);
}

TEST(StorePins, StayWhileReadersLeaveEnough) {
  Store store(4 * ChargeOf(1000));
  for (std::uint32_t n = 0; n < 4; ++n)
    ASSERT_EQ(Put(&store, n, 1000, 1, {0, n}), Rejection::kNone);
  store.Pin(OfRegion(0), 0);
  std::vector<EntryRef> readers;
  for (std::uint64_t n = 1; n < 4; ++n) readers.push_back(Get(&store, n));
  store.SetBudget(ChargeOf(1000));
  EXPECT_TRUE(Has(&store, 0));
  readers.clear();
  EXPECT_EQ(store.stats().bytes, ChargeOf(1000));
}

TEST(StorePins, ExpireAndCanBeInvalidatedAndReplaced) {
  Store store(1 << 20);
  const auto specs = Bytes(100);
  Offer offer = OfferOf(1, specs);
  offer.ttl_ns = 1000000000;
  ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  ASSERT_EQ(Put(&store, 2, 100, 1), Rejection::kNone);
  EXPECT_EQ(store.Pin({}, 0), 2u);
  offer.replace = true;
  ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  EXPECT_EQ(store.stats().pinned_entries, 2u);  // it has the pin of what it replaced
  EXPECT_FALSE(store.Find(offer.key, {2000000000}));
  EXPECT_EQ(store.stats().pinned_entries, 1u);
  EXPECT_TRUE(store.Remove(KeyNumber(2), Ledger::Removal::kMismatched));
  EXPECT_EQ(store.stats().pinned_entries, 0u);
  EXPECT_EQ(store.stats().pinned_bytes, 0u);
}

TEST(StoreQuota, OneNamespaceHoldsNoMore) {
  Store store(100 * ChargeOf(1000));
  store.SetNamespaceQuota(10 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 50; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000 + n, {1, 0}), Rejection::kNone);
    ASSERT_LE(store.namespace_usage(1).bytes, 10 * ChargeOf(1000));
  }
  for (std::uint64_t n = 0; n < 50; ++n) EXPECT_EQ(Has(&store, n), n >= 40);
  EXPECT_EQ(Put(&store, 100, 1000, 1, {2, 0}), Rejection::kNone);
  EXPECT_EQ(store.stats().entries, 11u);
  EXPECT_EQ(store.namespace_usage(2).entries, 1u);
  EXPECT_EQ(Put(&store, 101, 12000, 1, {2, 0}), Rejection::kTooLarge);
}

TEST(StoreQuota, EvictsTheLeastWorthOfItsOwn) {
  Store store(100 * ChargeOf(1000));
  store.SetNamespaceQuota(10 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 10; ++n)
    ASSERT_EQ(Put(&store, n, 1000, 1, {1, 0}), Rejection::kNone);
  for (std::uint64_t n = 10; n < 20; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000 * (1 + n * 7 % 10), {2, 0}), Rejection::kNone);
  }
  EXPECT_TRUE(Has(&store, 10) && Has(&store, 10));  // the cheapest is worth three times as much now
  for (std::uint64_t n = 20; n < 24; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 100000, {2, 0}), Rejection::kNone);
  }
  EXPECT_EQ(store.namespace_usage(1).entries, 10u);  // cheaper, but others'
  for (std::uint64_t n = 10; n < 20; ++n) {
    const std::uint64_t worth = n == 10 ? 3 : 1 + n * 7 % 10;
    EXPECT_EQ(Has(&store, n), worth > 4) << n;  // 2, twice 3, and 4 went
  }
  EXPECT_EQ(Put(&store, 30, 1000, 10, {2, 0}), Rejection::kNotWorth);
}

TEST(StoreQuota, ALowerOneEvictsAtOnceButNoPins) {
  Store store(100 * ChargeOf(1000));
  for (std::uint32_t n = 0; n < 40; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000 + n, {n % 2, n / 20}), Rejection::kNone);
  }
  Selection pins = OfRegion(0);
  pins.name_space = 1;
  EXPECT_EQ(store.Pin(pins, 0), 10u);
  store.SetNamespaceQuota(5 * ChargeOf(1000));
  EXPECT_EQ(store.namespace_usage(0).entries, 5u);
  EXPECT_EQ(store.namespace_usage(0).bytes, 5 * ChargeOf(1000));
  EXPECT_EQ(store.namespace_usage(1).entries, 10u);
  EXPECT_EQ(Put(&store, 100, 1000, 100000, {1, 0}), Rejection::kNotWorth);
  store.Unpin({}, 0);
  EXPECT_EQ(Put(&store, 100, 1000, 100000, {1, 0}), Rejection::kNone);
  EXPECT_EQ(store.namespace_usage(1).entries, 5u);
  store.SetNamespaceQuota(0);
  for (std::uint64_t n = 200; n < 220; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1, {1, 0}), Rejection::kNone);
  }
  EXPECT_EQ(store.namespace_usage(1).entries, 25u);
}

TEST(StoreQuota, DraftsAndReadersCount) {
  Store store(100 * ChargeOf(1000));
  store.SetNamespaceQuota(2 * ChargeOf(1000));
  const auto specs = Bytes(1000);
  Draft first = store.Reserve(OfferOf(1, specs));
  Draft second = store.Reserve(OfferOf(2, specs));
  EXPECT_TRUE(first && second);
  EXPECT_EQ(store.Reserve(OfferOf(3, specs)).rejection(), Rejection::kNotWorth);
  ASSERT_TRUE(store.Publish(std::move(first)));
  {
    const EntryRef reader = Get(&store, 1);
    EXPECT_EQ(store.Reserve(OfferOf(3, specs)).rejection(), Rejection::kNotWorth);
  }
  Want(&store, 3);
  EXPECT_TRUE(store.Reserve(OfferOf(3, specs, 1000)));
  EXPECT_FALSE(Has(&store, 1));
}

// Both limits at once: what is over neither evicts anybody's.
TEST(StoreQuota, TheBudgetStillEvictsAcrossNamespaces) {
  Store store(10 * ChargeOf(1000));
  store.SetNamespaceQuota(8 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 8; ++n)
    ASSERT_EQ(Put(&store, n, 1000, 10, {1, 0}), Rejection::kNone);
  for (std::uint64_t n = 10; n < 16; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000, {2, 0}), Rejection::kNone);
  }
  EXPECT_EQ(store.namespace_usage(1).entries, 4u);
  EXPECT_EQ(store.namespace_usage(2).entries, 6u);
  EXPECT_EQ(store.stats().bytes, store.budget());
}

TEST(StoreQuota, ThousandsOfNamespaces) {
  Store store(std::size_t{64} << 20);
  store.SetNamespaceQuota(4 * ChargeOf(100));
  for (std::uint32_t n = 0; n < 40000; ++n) {
    ASSERT_EQ(Put(&store, n, 100, 1000 + n, {n % 5000, 0}), Rejection::kNone);
  }
  EXPECT_EQ(store.stats().entries, 20000u);
  for (std::uint32_t i = 0; i < 5000; ++i) ASSERT_EQ(store.namespace_usage(i).entries, 4u);
}

TEST(StoreLimits, ALargeValueHasToRepeatFirst) {
  Store store(std::size_t{1} << 20);
  for (std::uint64_t n = 0; n < 2000; ++n) Put(&store, n, 1000, 1000);
  const std::size_t entries = store.stats().entries;
  const std::size_t large = (std::size_t{1} << 20) / 10 * 6;
  const std::uint64_t dear = 1000000000;  // dense, too
  store.Find(KeyNumber(5000), {0});
  EXPECT_EQ(Put(&store, 5000, large, dear), Rejection::kNotWorth);
  EXPECT_EQ(store.stats().entries, entries);
  store.Find(KeyNumber(5000), {0});
  EXPECT_EQ(Put(&store, 5000, large, dear), Rejection::kNone);
  EXPECT_LT(store.stats().entries, entries / 2);
}

TEST(StoreLimits, WhatIsFetchedAsSlowlyAsComputedOnlyTakesSpareRoom) {
  Store store(4 * ChargeOf(1000));
  const auto specs = Bytes(1000);
  for (std::uint64_t n = 0; n < 6; ++n) {
    Offer offer = OfferOf(n, specs, 1000);
    offer.fetch_ns = 1000;
    Want(&store, n);
    EXPECT_EQ(PutCandidate(&store, offer), n < 4 ? Rejection::kNone : Rejection::kNotWorth);
  }
  for (std::uint64_t n = 10; n < 14; ++n) {
    Want(&store, n);
    EXPECT_EQ(Put(&store, n, 1000, 1), Rejection::kNone);
  }
  EXPECT_EQ(store.stats().evictions, 4u);
}

TEST(StoreLimits, FetchTimeTakesWorthAway) {
  Store store(10 * ChargeOf(1000));
  const auto specs = Bytes(1000);
  for (std::uint64_t n = 0; n < 10; ++n) {
    Offer offer = OfferOf(n, specs, 2000);
    offer.fetch_ns = n < 5 ? 0 : 1500;
    ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  }
  for (std::uint64_t n = 10; n < 15; ++n) ASSERT_EQ(Put(&store, n, 1000, 1000), Rejection::kNone);
  for (std::uint64_t n = 0; n < 10; ++n) EXPECT_EQ(Has(&store, n), n < 5);
}

// What was wanted often is worth as much again when it comes back.
TEST(StoreLimits, FrequencyOutlivesEviction) {
  Store store(10 * ChargeOf(1000));
  ASSERT_EQ(Put(&store, 1, 1000, 1000), Rejection::kNone);
  for (int hit = 0; hit < 20; ++hit) EXPECT_TRUE(Has(&store, 1));
  store.SetBudget(0);
  store.SetBudget(10 * ChargeOf(1000));
  for (std::uint64_t n = 10; n < 20; ++n) ASSERT_EQ(Put(&store, n, 1000, 5000), Rejection::kNone);
  EXPECT_EQ(Put(&store, 1, 1000, 1000), Rejection::kNone);
  for (std::uint64_t n = 20; n < 25; ++n) ASSERT_EQ(Put(&store, n, 1000, 8000), Rejection::kNone);
  EXPECT_TRUE(Has(&store, 1));
}

}  // namespace
}  // namespace actcache
