// What leaves the store and what is charged: every removal is told, nothing stays charged or in the
// way of what comes later.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::uint64_t kDay = 86400 * std::uint64_t{1000000000};

// Of the listener, which is a plain function.
std::vector<std::pair<Key, Ledger::Removal>>& Told() {
  static std::vector<std::pair<Key, Ledger::Removal>> told;
  return told;
}

TEST(StoreAccounts, EveryRemovalIsToldOnceWithItsReason) {
  using Removal = Ledger::Removal;
  Told().clear();
  Store store(10 * ChargeOf(100));
  store.SetRemovalListener([](const Key& key, EntryTag tag, Removal why) noexcept {
    EXPECT_EQ(tag.region, 3u);
    Told().emplace_back(key, why);
  });
  const EntryTag tag{1, 3};
  for (std::uint64_t n = 0; n < 10; ++n) ASSERT_EQ(Put(&store, n, 100, 10, tag), Rejection::kNone);
  ASSERT_EQ(Put(&store, 10, 100, 1000, tag), Rejection::kNone);  // kForRoom
  const auto specs = Bytes(100);
  Offer offer = OfferOf(10, specs, 1000, tag);
  offer.replace = true;
  ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);  // kReplaced
  store.SetNamespaceQuota(8 * ChargeOf(100));                // kForQuota
  store.SetBudget(6 * ChargeOf(100));                        // kForBudget
  ASSERT_TRUE(store.Remove(KeyNumber(10), Removal::kMismatched));
  offer = OfferOf(20, specs, 1000, tag);
  offer.ttl_ns = 1;
  ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  EXPECT_FALSE(store.Find(offer.key, {kDay}));  // kExpired
  Clear(&store);                                // kInvalidated
  std::map<Removal, std::size_t> counts;
  std::set<std::pair<std::uint64_t, Removal>> different;
  for (const auto& [key, why] : Told()) {
    ++counts[why];
    different.insert({key.words[0], why});
  }
  for (const Removal why :
       {Removal::kForRoom, Removal::kReplaced, Removal::kForQuota, Removal::kForBudget,
        Removal::kMismatched, Removal::kExpired, Removal::kInvalidated}) {
    EXPECT_GT(counts[why], 0u) << static_cast<int>(why);
  }
  EXPECT_EQ(different.size(), Told().size());
  const StoreStats stats = store.stats();
  EXPECT_EQ(Told().size(), stats.insertions);
  EXPECT_EQ(counts[Removal::kForRoom] + counts[Removal::kForQuota] + counts[Removal::kForBudget],
            stats.evictions);
  EXPECT_EQ(counts[Removal::kReplaced], stats.replaced);
  EXPECT_EQ(counts[Removal::kExpired], stats.expired);
  EXPECT_EQ(counts[Removal::kMismatched] + counts[Removal::kInvalidated], stats.invalidated);
}

TEST(StoreAccounts, ALowerQuotaVoidsDrafts) {
  Store store(kMiB);
  const auto specs = Bytes(1000);
  Draft draft = store.Reserve(OfferOf(1, specs));
  ASSERT_TRUE(draft);
  store.SetNamespaceQuota(ChargeOf(100));
  EXPECT_FALSE(store.Publish(std::move(draft)));
  EXPECT_EQ(store.namespace_usage(0).bytes, 0u);
}

TEST(StoreAccounts, AReplacementReservedBeforeAClearIsNotPublished) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  for (const bool present : {false, true}) {
    if (present) {
      ASSERT_EQ(Put(&store, 1, 100, 1), Rejection::kNone);
    }
    Offer offer = OfferOf(1, specs);
    offer.replace = true;
    Draft draft = store.Reserve(offer);
    ASSERT_TRUE(draft);
    Clear(&store);
    EXPECT_FALSE(store.Publish(std::move(draft)));
    EXPECT_FALSE(Has(&store, 1));
    EXPECT_EQ(store.stats().bytes, 0u);
  }
}

// Also those that came while the replacement was being made.
TEST(StoreAccounts, AReplacementKeepsTheRequestsOfWhatItReplaces) {
  Store store(11 * ChargeOf(100));
  ASSERT_EQ(Put(&store, 1, 100, 1000), Rejection::kNone);
  const auto specs = Bytes(100);
  Offer offer = OfferOf(1, specs, 1000);
  offer.replace = true;
  Draft draft = store.Reserve(offer);
  for (int hit = 0; hit < 20; ++hit) ASSERT_TRUE(Has(&store, 1));
  ASSERT_TRUE(store.Publish(std::move(draft)));
  for (std::uint64_t n = 10; n < 20; ++n) ASSERT_EQ(Put(&store, n, 100, 5000), Rejection::kNone);
  for (std::uint64_t n = 20; n < 25; ++n) ASSERT_EQ(Put(&store, n, 100, 8000), Rejection::kNone);
  EXPECT_TRUE(store.Peek(KeyNumber(1)));
}

TEST(StoreAccounts, AnEntryMayBeExactlyAsOldAsItsReaderTakes) {
  Store store(kMiB);
  ASSERT_EQ(Put(&store, 1, 100, 1), Rejection::kNone);
  const std::uint64_t age = store.Peek(KeyNumber(1))->AgeAtMost(kDay);
  EXPECT_TRUE(store.Find(KeyNumber(1), {kDay, age}));
  EXPECT_FALSE(store.Find(KeyNumber(1), {kDay, age - 1}));
}

// What it would replace has made room; the rest is not to be had for what it is worth.
TEST(StoreAccounts, AReplacementThatIsRefusedLeavesNothingCharged) {
  Store store(4 * ChargeOf(100));
  for (std::uint64_t n = 0; n < 4; ++n) ASSERT_EQ(Put(&store, n, 100, 100000), Rejection::kNone);
  const auto specs = Bytes(300);
  Offer offer = OfferOf(2, specs, 1);
  offer.replace = true;
  EXPECT_EQ(PutCandidate(&store, offer), Rejection::kNotWorth);
  EXPECT_EQ(store.stats().bytes, store.stats().entries * ChargeOf(100));
  EXPECT_EQ(store.stats().entries, 3u);
}

// What is evicted raises the bar for all, so that what was once wanted often leaves in the end.
TEST(StoreAccounts, WhatIsNotWantedAnyMoreLeaves) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 10; ++n) ASSERT_EQ(Put(&store, n, 1000, 1000), Rejection::kNone);
  for (int hit = 0; hit < 20; ++hit) ASSERT_TRUE(Has(&store, 0));
  std::uint64_t until_gone = 0;
  while (store.Peek(KeyNumber(0))) {
    ASSERT_EQ(Put(&store, 100 + until_gone, 1000, 1000), Rejection::kNone);
    ASSERT_LT(++until_gone, 1000u);
  }
  EXPECT_GT(until_gone, 90u);  // it was worth twenty of them
}

TEST(StoreAccounts, WhatWasInUseWhenTheBudgetFellLeavesLater) {
  Store store(4 * ChargeOf(1000));
  for (std::uint64_t n = 0; n < 4; ++n) {
    ASSERT_EQ(Put(&store, n, 1000, 1000 * (n + 1)), Rejection::kNone);
  }
  {
    const std::vector<EntryRef> readers = {store.Peek(KeyNumber(0)), store.Peek(KeyNumber(1))};
    store.SetBudget(3 * ChargeOf(1000));
    EXPECT_TRUE(store.Peek(KeyNumber(0)) && store.Peek(KeyNumber(1)));
  }
  for (std::uint64_t n = 10; n < 13; ++n) {
    Want(&store, n);
    ASSERT_EQ(Put(&store, n, 1000, 1000000), Rejection::kNone);
  }
  for (std::uint64_t n = 0; n < 4; ++n) EXPECT_FALSE(store.Peek(KeyNumber(n))) << n;
}

// Ticks wrap after 417 days.
TEST(StoreAccounts, AVeryLongLifeDoesNotEndEarly) {
  for (const std::uint64_t days : {100u, 250u, 300u, 420u, 1000u, 10000u, 200000u}) {
    Store store(kMiB);
    const auto specs = Bytes(100);
    Offer offer = OfferOf(1, specs);
    offer.now_ns = kDay;
    offer.ttl_ns = days * kDay;
    ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
    EXPECT_TRUE(store.Find(offer.key, {kDay})) << days;
    EXPECT_TRUE(store.Find(offer.key, {51 * kDay})) << days;
    EXPECT_TRUE(store.Find(offer.key, {91 * kDay})) << days;
  }
}

}  // namespace
}  // namespace actcache
