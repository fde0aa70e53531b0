// Where the rows of a call come from, for every mix of found, missing and equal rows.
#include "units/match.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/clock.h"

namespace actcache {
namespace {

const ElementTypes kTypes{ElementType::kFloat};
const LookupRules kRules{FindLimits{SteadyNow()}};

// Rows on axis `axis` of the live-out.
Match Find(Store& store, const Keys& keys, std::int64_t axis = 0,
           const LookupRules& rules = kRules) {
  const RowCut cut({0}, {axis});
  return FindUnits(store, keys, {&cut, keys.size()}, kTypes, rules);
}

Key KeyNumber(std::uint64_t n) { return Key{{n * 0x9e3779b97f4a7c15u + 1, n}}; }

Keys KeyNumbers(std::initializer_list<std::uint64_t> numbers) {
  Keys keys;
  for (const std::uint64_t n : numbers) keys.push_back(KeyNumber(n));
  return keys;
}

void Put(Store& store, std::uint64_t n, ElementType type = ElementType::kFloat,
         std::vector<std::int64_t> dims = {2}) {
  std::size_t bytes = ElementBits(type) / 8;
  for (const std::int64_t dim : dims) bytes *= static_cast<std::size_t>(dim);
  const TensorSpec spec{static_cast<std::int32_t>(type), std::move(dims), bytes};
  Offer offer{};
  offer.key = KeyNumber(n);
  offer.tag = {0, 0};
  offer.specs = &spec;
  offer.count = 1;
  offer.cost_ns = 100 + n;
  Draft draft = store.Reserve(offer);
  ASSERT_TRUE(draft);
  std::memset(draft.data(0), static_cast<int>(n), bytes);
  ASSERT_TRUE(store.Publish(std::move(draft)));
}

std::vector<int> Sources(const Match& match) {  // i >= 0: computed, ~i: cached
  std::vector<int> out;
  for (const RowSource source : match.sources) {
    const int index = static_cast<int>(source.index());
    out.push_back(source.cached() ? ~index : index);
  }
  return out;
}

TEST(Match, NumbersFoundAndMissingRowsInOrderOfAppearance) {
  Store store(1 << 20);
  Put(store, 2);
  Put(store, 4);
  const Match match = Find(store, KeyNumbers({1, 2, 3, 1, 4, 2, 3}));
  EXPECT_EQ(Sources(match), (std::vector<int>{0, ~0, 1, 0, ~1, ~0, 1}));
  ASSERT_EQ(match.missing.size(), 2u);
  EXPECT_EQ(match.missing[0], 0u);
  EXPECT_EQ(match.missing[1], 2u);
  EXPECT_EQ(match.missing_keys[1], KeyNumber(3));
  EXPECT_EQ(match.hits.size(), 2u);
  EXPECT_EQ(match.duplicates, 2u);  // of rows 0 and 2; row 5 is in the store
  EXPECT_EQ(match.saved_ns, 102u + 104u + 102u);
}

TEST(Match, ManyRowsGiveTheSameAsFew) {
  Store store(1 << 24);
  Keys keys;
  for (std::uint64_t n = 0; n < 3000; ++n) keys.push_back(KeyNumber(n * 7 % 1000));
  const Match match = Find(store, keys);
  EXPECT_EQ(match.missing.size(), 1000u);
  EXPECT_EQ(match.duplicates, 2000u);
  for (std::size_t row = 0; row < keys.size(); ++row) {
    ASSERT_EQ(match.missing_keys[match.sources[row].index()], keys[row]);
  }
}

TEST(Match, KeysThatShareAWordAreNotEqual) {
  Store store(1 << 20);
  for (const std::uint64_t rows : {4, 100}) {
    Keys keys;
    for (std::uint64_t n = 0; n < rows; ++n) {
      keys.push_back(n % 2 == 0 ? Key{{1000, n}} : Key{{n, 1000}});
    }
    EXPECT_EQ(Find(store, keys).missing.size(), rows);
  }
}

TEST(Match, AnEntryOfAnotherNumberOfResultsIsAMiss) {
  Store store(1 << 20);
  Put(store, 1);
  const RowCut cut({0}, {});
  EXPECT_TRUE(FindUnits(store, KeyNumbers({1}), {&cut, 1}, {}, kRules).any_miss());
}

TEST(Match, AnEntryOfAnotherTypeOrRowShapeIsAMiss) {
  Store store(1 << 20);
  Put(store, 1);
  Put(store, 2, ElementType::kInt32);
  Put(store, 3, ElementType::kFloat, {3});
  const Match match = Find(store, KeyNumbers({1, 2, 3}));
  EXPECT_EQ(Sources(match), (std::vector<int>{~0, 0, 1}));
}

TEST(Match, AnEntryTooFlatForTheRowAxisIsAMiss) {
  Store store(1 << 20);
  Put(store, 1, ElementType::kFloat, {2});
  EXPECT_FALSE(Find(store, KeyNumbers({1}), 1).any_miss());
  EXPECT_TRUE(Find(store, KeyNumbers({1}), 2).any_miss());
}

std::vector<int> Flags(const Match& match) {
  return {match.missing_flags.begin(), match.missing_flags.end()};
}

TEST(Match, AnEntryOfOtherBytesIsAMissAndMakesWay) {
  Store store(1 << 20);
  // Two floats by its shape, and three by its bytes.
  const TensorSpec spec{static_cast<std::int32_t>(ElementType::kFloat), {2}, 12};
  Offer offer{};
  offer.key = KeyNumber(1);
  offer.specs = &spec;
  offer.count = 1;
  ASSERT_TRUE(store.Publish(store.Reserve(offer)));
  EXPECT_EQ(Flags(Find(store, KeyNumbers({1}))), std::vector<int>{kReplace});
}

TEST(Match, WhatDoesNotFitMakesWay) {
  Store store(1 << 20);
  Put(store, 1, ElementType::kInt32);
  EXPECT_EQ(Flags(Find(store, KeyNumbers({1, 2}))), (std::vector<int>{kReplace, 0}));
}

TEST(Match, WhatIsTooOldForTheReaderMakesWayAndCounts) {
  Store store(1 << 20);
  Put(store, 1);
  LookupRules rules = kRules;
  rules.limits.max_age_ns = 0;
  const Match match = Find(store, KeyNumbers({1, 2}), 0, rules);
  EXPECT_EQ(Flags(match), (std::vector<int>{kReplace | kExpired, 0}));
  EXPECT_EQ(match.expired, 1u);
}

TEST(Match, ARefreshUsesNothingAndReplacesAll) {
  Store store(1 << 20);
  Put(store, 1);
  LookupRules rules = kRules;
  rules.refresh = true;
  const Match match = Find(store, KeyNumbers({1, 2, 1}), 0, rules);
  EXPECT_EQ(Sources(match), (std::vector<int>{0, 1, 0}));
  EXPECT_EQ(Flags(match), (std::vector<int>{kReplace, kReplace}));
}

TEST(Match, WhatIsDrawnForVerificationIsComputedToBeCompared) {
  Store store(1 << 20);
  Put(store, 1);
  Sampler sampler;
  LookupRules rules = kRules;
  rules.verify_share = 1;
  rules.verified = &sampler;
  const Match match = Find(store, KeyNumbers({1, 2}), 0, rules);
  EXPECT_EQ(Flags(match), (std::vector<int>{kVerify, 0}));
  EXPECT_EQ(match.verified, 1u);
  EXPECT_EQ(match.saved_ns, 0u);
}

TEST(Match, HoldsItsEntriesOnlyAsLongAsItLives) {
  Store store(1 << 20);
  Put(store, 1);
  {
    const Match match = Find(store, KeyNumbers({1}));
    store.Invalidate({}, 0);
    EXPECT_GT(store.stats().bytes, 0u);
  }
  EXPECT_EQ(store.stats().bytes, 0u);
}

}  // namespace
}  // namespace actcache
