// When a region stops storing what it sees for the first time, and when it begins again.
#include "policy/first_sight.h"

#include <gtest/gtest.h>

#include "policy_simulation.h"

namespace actcache {
namespace {

using simulation::Costs;
using simulation::Fresh;
using simulation::Region;
using simulation::Repeating;
using simulation::Stream;
using simulation::Totals;

constexpr double kTook = 100;
constexpr double kLarge = 0.1;  // of the time to compute

// One whose credit is used up.
FirstSight Spent() {
  FirstSight sight;
  for (unsigned i = 0; i <= FirstSight::kFreeCalls; ++i) sight.Stored(kTook, kLarge, 0);
  return sight;
}

// Values that cost a tenth of their computation to store.
Costs Large() {
  Costs costs;
  costs.fetch = 50'000;
  costs.publish = 100'000;
  return costs;
}

TEST(FirstSight, IsStoredInTheFirstCalls) {
  FirstSight sight;
  for (unsigned i = 0; i < FirstSight::kFreeCalls; ++i) {
    sight.Stored(kTook, kLarge, 0);
    EXPECT_TRUE(sight.stores()) << i;
  }
  sight.Stored(kTook, kLarge, 0);
  EXPECT_FALSE(sight.stores());
}

TEST(FirstSight, IsStoredForeverWhereThatTakesNextToNothing) {
  FirstSight sight;
  for (int i = 0; i < 1000; ++i) sight.Stored(kTook, FirstSight::kSmallShare, 0);
  EXPECT_TRUE(sight.stores());
}

TEST(FirstSight, IsStoredAsLongAsHitsPayForIt) {
  FirstSight sight;
  for (int i = 0; i < 1000; ++i) {
    sight.Stored(kTook, kLarge, 0);
    if (i % 8 == 0) sight.Saved(10 * kTook);
  }
  EXPECT_TRUE(sight.stores());
}

TEST(FirstSight, LivesOnWhatWasSavedForSixtyFourCallsAtMost) {
  FirstSight sight = Spent();
  sight.Saved(1e6 * kTook);
  ASSERT_TRUE(sight.Repeats(0, 0));
  int calls = 0;
  for (; sight.stores(); ++calls) sight.Stored(kTook, kLarge, 0);
  EXPECT_EQ(calls, 65);
}

TEST(FirstSight, MayOweWhatTwoHitsSave) {
  FirstSight sight;
  int calls = 0;
  for (; sight.stores(); ++calls) sight.Stored(kTook, kLarge, 10 * kTook);
  EXPECT_EQ(calls, static_cast<int>(FirstSight::kFreeCalls) + 21);
  FirstSight paid;
  for (int i = 0; i < 20; ++i) paid.Stored(kTook, kLarge, 10 * kTook);
  paid.Saved(10 * kTook);  // a debt is paid off, not forgotten
  for (calls = 20; paid.stores(); ++calls) paid.Stored(kTook, kLarge, 10 * kTook);
  EXPECT_EQ(calls, static_cast<int>(FirstSight::kFreeCalls) + 31);
}

TEST(FirstSight, LivesOnASecondAtMost) {
  FirstSight sight;
  for (unsigned i = 0; i <= FirstSight::kFreeCalls; ++i) sight.Stored(4e8, kLarge, 0);
  sight.Saved(1e12);
  ASSERT_TRUE(sight.Repeats(0, 0));
  sight.Stored(4e8, kLarge, 0);
  sight.Stored(4e8, kLarge, 0);
  EXPECT_TRUE(sight.stores());
  sight.Stored(4e8, kLarge, 0);
  EXPECT_FALSE(sight.stores());
}

// A prompt, and a hundred small steps: the next prompt is stored as well.
TEST(FirstSight, SmallCallsDoNotLimitWhatALargeOneMayTake) {
  FirstSight sight;
  for (int prompt = 0; prompt < 20; ++prompt) {
    sight.Stored(50 * kTook, kLarge, 0);
    EXPECT_TRUE(sight.stores()) << prompt;
    for (int step = 0; step < 100; ++step) {
      sight.Saved(10 * kTook);
      sight.Stored(kTook, kLarge, 0);
    }
  }
}

TEST(FirstSight, ComesBackWithTheFirstRepetitionThatIsWorthIt) {
  FirstSight sight = Spent();
  // The first token of every sequence, say.
  EXPECT_FALSE(sight.Repeats(kTook, kTook));
  EXPECT_FALSE(sight.Repeats(kTook, kTook));
  EXPECT_TRUE(sight.Repeats(2 * kTook, kTook));
}

TEST(FirstSight, ComesBackByHits) {
  FirstSight sight = Spent();
  sight.Saved(2 * kTook);
  EXPECT_TRUE(sight.Repeats(0, kTook));
}

TEST(FirstSights, OfARegionInWhichNothingRepeatsAreStoredInFewCalls) {
  Region region{Large()};
  const Totals totals = region.Play(Fresh(), 30);
  EXPECT_FALSE(region.policy.StoresFirstSights());
  EXPECT_FALSE(region.policy.stats().bypassed);
  // Two more are owed for: that is what two hits save.
  const double stored = 8.0 * (FirstSight::kFreeCalls + 1 + 2) * 100'000;
  EXPECT_NEAR(totals.overhead_ns, stored + 8.0 * 30 * 8'000, stored / 100);
}

TEST(FirstSights, ThatRepeatAreLostOnce) {
  Region region{Large()};
  region.Play(Fresh(), 30);
  ASSERT_FALSE(region.policy.StoresFirstSights());
  std::uint64_t next = 0;
  const auto round = [&] {
    next = 0;
    return region.Play([&] { return next++; }, 20);
  };
  EXPECT_EQ(round().hits, 0u);  // noted
  EXPECT_EQ(round().hits, 0u);  // stored
  EXPECT_TRUE(region.policy.StoresFirstSights());
  EXPECT_GE(round().hits, 152u);  // it may be bypassed for a call
}

TEST(FirstSights, AreStoredWhereEnoughRepeats) {
  Region region{Large()};
  const Stream stream = Repeating(0.3, 1'000, 1);
  region.Play(stream, 2'000);
  EXPECT_TRUE(region.policy.StoresFirstSights());
  const Totals totals = region.Play(stream, 500);
  EXPECT_NEAR(static_cast<double>(totals.hits), 0.3 * 4'000, 150);
}

TEST(FirstSights, AreStoredIfTheRegionIsToldSo) {
  Region region{Large()};
  region.Play(Fresh(), 30);
  ASSERT_FALSE(region.policy.StoresFirstSights());
  region.Play(Fresh(), 100, 8, false);
  EXPECT_TRUE(region.policy.StoresFirstSights());
}

TEST(FirstSights, OfACheapRegionAreStored) {
  Region region{Costs{}};
  region.Play(Fresh(), 60);
  EXPECT_TRUE(region.policy.StoresFirstSights());
}

}  // namespace
}  // namespace actcache
