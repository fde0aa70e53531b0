// How long an entry is found, and what takes it away on purpose: time to live, a reader's limit of
// age, replacement, removal, selections.
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::uint64_t kSecond = 1000000000;
constexpr std::uint64_t kDay = 86400 * kSecond;
constexpr std::uint64_t kStart = 1000 * kSecond;

Rejection PutAt(Store* store, std::uint64_t n, std::uint64_t now_ns, std::uint64_t ttl_ns = 0,
                EntryTag tag = {0, 0}) {
  const auto specs = Bytes(100);
  Offer offer = OfferOf(n, specs, 1000, tag);
  offer.now_ns = now_ns;
  offer.ttl_ns = ttl_ns;
  return PutCandidate(store, offer);
}

Absence WhyNot(Store* store, std::uint64_t n, const FindLimits& limits) {
  Absence why = Absence::kAbsent;
  const EntryRef found = store->Find(KeyNumber(n), limits, &why);
  EXPECT_EQ(static_cast<bool>(found), why == Absence::kNone);
  return why;
}

TEST(StoreFreshness, AnEntryExpiresAfterItsTimeToLive) {
  Store store(kMiB);
  ASSERT_EQ(PutAt(&store, 1, kStart, 10 * kSecond), Rejection::kNone);
  ASSERT_EQ(PutAt(&store, 2, kStart), Rejection::kNone);
  EXPECT_EQ(WhyNot(&store, 1, {kStart + 9 * kSecond}), Absence::kNone);
  EXPECT_EQ(WhyNot(&store, 1, {kStart + 10 * kSecond}), Absence::kExpired);
  EXPECT_EQ(WhyNot(&store, 1, {kStart + 10 * kSecond}), Absence::kAbsent);
  EXPECT_EQ(WhyNot(&store, 2, {kStart + kDay}), Absence::kNone);
  EXPECT_EQ(store.stats().expired, 1u);
  EXPECT_EQ(store.stats().evictions, 0u);
  EXPECT_EQ(store.stats().entries, 1u);
  EXPECT_EQ(store.stats().bytes, ChargeOf(100));
}

TEST(StoreFreshness, AnEntryThatComesFromElsewhereKeepsItsAge) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  for (const std::uint64_t age : {std::uint64_t{0}, 10 * kSecond, 2 * kStart}) {  // before the boot
    Offer offer = OfferOf(1, specs, 1000, {0, 0});
    offer.now_ns = kStart;
    offer.age_ns = age;
    offer.ttl_ns = 5 * kSecond;  // that are left of it
    offer.replace = true;
    ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
    EXPECT_EQ(WhyNot(&store, 1, {kStart, age + kSecond}), Absence::kNone);
    if (age > 0) {
      EXPECT_EQ(WhyNot(&store, 1, {kStart, age - kSecond}), Absence::kTooOld);
    }
    const EntryRef entry = store.Peek(KeyNumber(1));
    EXPECT_GE(entry->AgeAtMost(kStart + kSecond), age + kSecond);
    EXPECT_LE(entry->AgeAtMost(kStart + kSecond), age + kSecond + 2 * kTickNs);
    EXPECT_GE(entry->TimeToLive(kStart + kSecond), 4 * kSecond - kTickNs);
    EXPECT_LE(entry->TimeToLive(kStart + kSecond), 4 * kSecond + kTickNs);
    EXPECT_EQ(WhyNot(&store, 1, {kStart + 5 * kSecond}), Absence::kExpired);
  }
  ASSERT_EQ(PutAt(&store, 2, kStart), Rejection::kNone);
  EXPECT_EQ(store.Peek(KeyNumber(2))->TimeToLive(kStart), 0u);
}

TEST(StoreFreshness, AnEntrySaysWhereItsKeyMeansTheSame) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  for (const KeyScope scope : {KeyScope::kProcess, KeyScope::kShared}) {
    Offer offer = OfferOf(1, specs, 1000, {0, 0});
    offer.scope = scope;
    offer.replace = true;
    ASSERT_EQ(PutCandidate(&store, offer), Rejection::kNone);
    store.Pin({}, 0);  // other flags do not touch it
    EXPECT_EQ(store.Peek(KeyNumber(1))->scope(), scope);
    store.Unpin({}, 0);
    EXPECT_EQ(store.Peek(KeyNumber(1))->scope(), scope);
  }
}

TEST(StoreFreshness, NeverFoundLateForAnyTimeToLive) {
  Store store(kMiB);
  for (std::uint64_t ttl = 1; ttl < 100 * kSecond; ttl = ttl * 3 + 1) {
    ASSERT_EQ(PutAt(&store, ttl, kStart + ttl / 7, ttl), Rejection::kNone);
    EXPECT_EQ(WhyNot(&store, ttl, {kStart + ttl / 7 + ttl}), Absence::kExpired) << ttl;
    ASSERT_EQ(PutAt(&store, ttl, kStart + ttl / 7, ttl), Rejection::kNone);
    if (ttl <= 2 * kTickNs) continue;
    EXPECT_EQ(WhyNot(&store, ttl, {kStart + ttl / 7 + ttl - 2 * kTickNs}), Absence::kNone) << ttl;
  }
}

TEST(StoreFreshness, AReaderMayTakeYoungerOnesOnly) {
  Store store(kMiB);
  ASSERT_EQ(PutAt(&store, 1, kStart), Rejection::kNone);
  const std::uint64_t later = kStart + 10 * kSecond;
  EXPECT_EQ(WhyNot(&store, 1, {later, 11 * kSecond}), Absence::kNone);
  EXPECT_EQ(WhyNot(&store, 1, {later, 9 * kSecond}), Absence::kTooOld);
  EXPECT_EQ(WhyNot(&store, 1, {later, 0}), Absence::kTooOld);
  EXPECT_EQ(WhyNot(&store, 1, {later}), Absence::kNone);
  EXPECT_EQ(store.stats().expired, 0u);
  // A reader whose clock reading is older than the entry.
  EXPECT_EQ(WhyNot(&store, 1, {kStart - kSecond, kSecond}), Absence::kNone);
}

TEST(StoreFreshness, AnExpiredEntryMakesWayForACandidate) {
  Store store(kMiB);
  ASSERT_EQ(PutAt(&store, 1, kStart, kSecond), Rejection::kNone);
  EXPECT_EQ(PutAt(&store, 1, kStart), Rejection::kPresent);
  EXPECT_EQ(PutAt(&store, 1, kStart + kSecond), Rejection::kNone);
  EXPECT_EQ(store.stats().entries, 1u);
  EXPECT_EQ(store.stats().expired, 1u);
}

// Ticks wrap after 417 days; nothing may come back to life then.
TEST(StoreFreshness, NothingIsYoungAgainWhenTicksWrap) {
  for (const std::uint64_t step : {kDay, 30 * kDay, 250 * kDay, 500 * kDay}) {
    Store store(kMiB);
    ASSERT_EQ(PutAt(&store, 1, kStart), Rejection::kNone);
    ASSERT_EQ(PutAt(&store, 2, kStart, 300 * kDay), Rejection::kNone);
    for (std::uint64_t now = kStart + step; now < kStart + 1000 * kDay; now += step) {
      const bool old = WhyNot(&store, 1, {now}) == Absence::kNone;
      if (now - kStart > 160 * kDay) {
        EXPECT_FALSE(old) << step / kDay;
      }
      if (now - kStart < 100 * kDay) {
        EXPECT_TRUE(old) << step / kDay;
      }
      if (now - kStart > 300 * kDay) {
        EXPECT_NE(WhyNot(&store, 2, {now}), Absence::kNone);
      }
    }
  }
}

TEST(StoreFreshness, AReplacementTakesItsPlaceAndReadersKeepTheOld) {
  Store store(kMiB);
  ASSERT_EQ(PutAt(&store, 1, kStart), Rejection::kNone);
  const EntryRef old = store.Find(KeyNumber(1), {kStart});
  const auto specs = Bytes(300);
  Offer offer = OfferOf(1, specs, 2000);
  offer.now_ns = kStart + kSecond;
  offer.replace = true;
  Draft draft = store.Reserve(offer);
  ASSERT_TRUE(draft);
  EXPECT_EQ(store.stats().bytes, old->charge() + draft.charge());
  EXPECT_EQ(Get(&store, 1).get(), old.get());  // until it is published
  Fill(offer.key, draft.data(0), draft.bytes(0));
  ASSERT_TRUE(store.Publish(std::move(draft)));
  const EntryRef found = Get(&store, 1);
  EXPECT_EQ(found->bytes(0), 300u);
  EXPECT_EQ(found->cost_ns(), 2000u);
  EXPECT_TRUE(Holds(KeyNumber(1), old->data(0), 100));
  EXPECT_EQ(store.stats().entries, 1u);
  EXPECT_EQ(store.stats().replaced, 1u);
  EXPECT_EQ(WhyNot(&store, 1, {kStart + 2 * kSecond, kSecond + kSecond / 2}), Absence::kNone);
}

TEST(StoreFreshness, AReplacementOfNothingIsAnEntry) {
  Store store(kMiB);
  const auto specs = Bytes(300);
  Offer offer = OfferOf(1, specs);
  offer.replace = true;
  EXPECT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  EXPECT_EQ(store.stats().replaced, 0u);
  EXPECT_TRUE(Has(&store, 1));
}

// In a full store it needs no room but that of what it replaces, whatever it is worth.
TEST(StoreFreshness, AReplacementFitsWhereTheOldWas) {
  Store store(4 * ChargeOf(100));
  for (std::uint64_t n = 0; n < 4; ++n) ASSERT_EQ(Put(&store, n, 100, 1000), Rejection::kNone);
  const auto specs = Bytes(100);
  Offer offer = OfferOf(2, specs, 1);
  offer.replace = true;
  EXPECT_EQ(PutCandidate(&store, offer), Rejection::kNone);
  EXPECT_EQ(store.stats().entries, 4u);
  EXPECT_EQ(store.stats().evictions, 0u);
  EXPECT_EQ(store.stats().replaced, 1u);
  EXPECT_EQ(Get(&store, 2)->cost_ns(), 1u);
}

TEST(StoreFreshness, RemovesOneKey) {
  Store store(kMiB);
  ASSERT_EQ(PutAt(&store, 1, kStart), Rejection::kNone);
  ASSERT_EQ(PutAt(&store, 2, kStart), Rejection::kNone);
  const EntryRef reader = Get(&store, 1);
  EXPECT_TRUE(store.Remove(KeyNumber(1), Ledger::Removal::kMismatched));
  EXPECT_FALSE(store.Remove(KeyNumber(1), Ledger::Removal::kMismatched));
  EXPECT_FALSE(Has(&store, 1));
  EXPECT_TRUE(Has(&store, 2));
  EXPECT_TRUE(Holds(KeyNumber(1), reader->data(0), 100));
  EXPECT_EQ(store.stats().invalidated, 1u);
  EXPECT_EQ(store.stats().bytes, 2 * ChargeOf(100));
}

TEST(StoreFreshness, PeekingIsNoUse) {
  Store store(2 * ChargeOf(100));
  ASSERT_EQ(Put(&store, 1, 100, 1000), Rejection::kNone);
  ASSERT_EQ(Put(&store, 2, 100, 1500), Rejection::kNone);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(store.Peek(KeyNumber(1)));
  EXPECT_FALSE(store.Peek(KeyNumber(3)));
  Want(&store, 3);
  ASSERT_EQ(Put(&store, 3, 100, 2000), Rejection::kNone);
  EXPECT_FALSE(store.Peek(KeyNumber(1)));  // still the least worth
  EXPECT_TRUE(store.Peek(KeyNumber(2)));
}

TEST(StoreFreshness, InvalidatesByRegionNamespaceAndAge) {
  Store store(kMiB);
  for (std::uint32_t n = 0; n < 60; ++n) {
    ASSERT_EQ(PutAt(&store, n, kStart + n * kSecond, 0, {n % 3, n % 4}), Rejection::kNone);
  }
  const std::uint64_t now = kStart + 60 * kSecond;
  Selection selection;
  selection.regions = {1, 3, 9};
  selection.name_space = 2;
  EXPECT_EQ(store.Invalidate(selection, now), 10u);
  for (std::uint32_t n = 0; n < 60; ++n) {
    EXPECT_EQ(Has(&store, n), !(n % 3 == 2 && n % 2 == 1)) << n;
  }
  Selection old;
  old.min_age_ns = 30 * kSecond + kSecond / 2;  // older than number 30
  EXPECT_EQ(store.Invalidate(old, now), 25u);
  for (std::uint32_t n = 0; n < 30; ++n) EXPECT_FALSE(Has(&store, n));
  EXPECT_EQ(store.usage(1).invalidated + store.usage(3).invalidated + store.usage(0).invalidated +
                store.usage(2).invalidated,
            35u);
  EXPECT_EQ(store.stats().invalidated, 35u);
  EXPECT_EQ(store.Invalidate({}, now), 25u);
  EXPECT_EQ(store.stats().bytes, 0u);
}

TEST(StoreFreshness, OldEntriesGoWithoutHarmToDrafts) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  Draft draft = store.Reserve(OfferOf(1, specs));
  Selection old;
  old.min_age_ns = kSecond;
  store.Invalidate(old, kStart);
  EXPECT_TRUE(store.Publish(std::move(draft)));
}

}  // namespace
}  // namespace actcache
