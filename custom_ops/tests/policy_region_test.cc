// When a region is bypassed, when it comes back, and what being wrong costs.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "policy_simulation.h"

namespace actcache {
namespace {

using simulation::Costs;
using simulation::FarApart;
using simulation::Fresh;
using simulation::Region;
using simulation::Repeating;
using simulation::Totals;

TEST(RegionPolicy, BypassesWhatNeverRepeatsAfterSixtyFourCallsOverhead) {
  Region region{Costs{}};
  const Totals learning = region.Play(Fresh(), 70);
  EXPECT_TRUE(region.policy.stats().bypassed);
  EXPECT_EQ(region.policy.stats().reason, BypassReason::kOverhead);
  EXPECT_LE(learning.loss(), 66 * region.MissOverhead());
  EXPECT_GE(learning.loss(), 60 * region.MissOverhead());
}

TEST(RegionPolicy, LosesNextToNothingOnAMillionRowsThatNeverRepeat) {
  Region region{Costs{}};  // looking up always would cost 1 %
  const Totals totals = region.Play(Fresh(), 125'000);
  EXPECT_LT(totals.loss() / totals.recompute_ns, 0.0002);
  const RegionPolicy::Stats stats = region.policy.stats();
  EXPECT_GE(stats.probes, 2u);  // ever further apart: 4096, 8192, ... calls
  EXPECT_LE(stats.probes, 6u);
  EXPECT_EQ(stats.switches, stats.probes + 1);
}

// What a bypassed region does for other processes, if there are any, costs a fiftieth of the time.
TEST(RegionPolicy, FeedsOthersForAFiftiethOfTheRecomputeTime) {
  Costs cheap;  // all calls are looked up: that takes 1 %
  Costs dear;
  dear.lookup *= 10;
  dear.publish *= 10;
  for (const Costs& costs : {cheap, dear}) {
    const bool all = costs.lookup == cheap.lookup;
    Region region{costs};
    region.others_read = true;
    region.Play(Fresh(), 200);
    ASSERT_TRUE(region.policy.stats().bypassed);
    const std::uint64_t fed = region.policy.stats().fed;
    const Totals totals = region.Play(Fresh(), 2'000);
    EXPECT_TRUE(region.policy.stats().bypassed);
    EXPECT_LE(totals.loss() / totals.recompute_ns, 0.0205);
    EXPECT_GE(totals.loss() / totals.recompute_ns, all ? 0.009 : 0.015);
    EXPECT_GE(region.policy.stats().fed - fed, all ? 2'000u : 200u);
  }
}

TEST(RegionPolicy, ComesBackByWhatItFindsForOthers) {
  Region region{Costs{}};
  region.others_read = true;
  region.Play(Fresh(), 200);
  ASSERT_TRUE(region.policy.stats().bypassed);
  region.Play(Repeating(1, 50, 1), 100);
  EXPECT_FALSE(region.policy.stats().bypassed);
}

TEST(RegionPolicy, FeedsNobodyWhereAHitCostsMore) {
  Costs costs;
  costs.recompute = 100;
  Region region{costs};
  region.others_read = true;
  region.Play(Fresh(), 1'000);
  EXPECT_EQ(region.policy.stats().reason, BypassReason::kHitCost);
  EXPECT_EQ(region.policy.stats().fed, 0u);
}

TEST(RegionPolicy, NeverBypassesWhatRepeats) {
  Region region{Costs{}};
  region.Play(Repeating(1, 100, 1), 20'000);
  EXPECT_EQ(region.policy.stats().switches, 0u);
  EXPECT_EQ(region.policy.stats().reason, BypassReason::kNone);
}

TEST(RegionPolicy, FewHitsKeepAnExpensiveRegionActive) {
  Region region{Costs{}};
  const Totals totals = region.Play(Repeating(0.05, 50, 1), 20'000);  // breaks even at 1 %
  EXPECT_LE(region.policy.stats().switches, 1u);                      // while the pool was new
  EXPECT_GT(static_cast<double>(totals.hits), 0.9 * 0.05 * static_cast<double>(totals.rows));
}

// One row in fifty pays, so that 64 misses in a row prove nothing.
TEST(RegionPolicy, WaitsForWhatRepeatsFarApart) {
  const Costs costs{1'000'000, 15'000, 5'000, 5'000, 100};
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Region region{costs};
    Region always{costs};
    region.Play(Fresh(), 50, 1);  // as at the start of a stream, when nothing has come before
    const Totals got = region.Play(FarApart(0.2, seed), 1'000, 1);
    const Totals best = always.Play(FarApart(0.2, seed), 1'000, 1, /*automatic=*/false);
    ASSERT_GE(best.hits, 150u);
    EXPECT_GE(static_cast<double>(got.hits), 0.9 * static_cast<double>(best.hits)) << seed;
  }
}

// As when people play again what was said: nothing repeats for a while, then all of it does, once.
TEST(RegionPolicy, FindsWhatRepeatsOnlyOnceAndLate) {
  const Costs costs{1'000'000, 5'000, 5'000, 15'000, 100};
  std::uint64_t at = 0;
  const auto cycle = [&at] { return at++ % 90; };
  Region region{costs};
  region.Play(cycle, 90, 1);
  const Totals again = region.Play(cycle, 90, 1);
  EXPECT_EQ(again.hits, 90u);
}

TEST(RegionPolicy, LosesNoMoreThanTwoHitsSaveBeforeItKnows) {
  const Costs costs{1'000'000, 15'000, 5'000, 5'000, 100};
  Region region{costs};
  const Totals learning = region.Play(Fresh(), 200, 1);
  EXPECT_TRUE(region.policy.stats().bypassed);
  EXPECT_LE(learning.loss(), 2.1 * 1'000'000);
  EXPECT_GE(learning.loss(), 1.7 * 1'000'000);
}

TEST(RegionPolicy, CopiesThatAreMadeLaterCount) {
  RegionPolicy policy;
  policy.LookedUp({0, 1, 1, 0, 1'000, 0, 10'000, /*handed_over=*/true});
  policy.CopiedOut(0, 1, 4'000, 500);  // with what the lookup copied itself
  EXPECT_EQ(policy.Computed(0, 1, 10'000).fetch_ns, 4'500u);
  EXPECT_FALSE(policy.bypassed());
  for (int i = 0; i < 1'000 && !policy.bypassed(); ++i) {
    policy.LookedUp({0, 1, 1, 0, 1'000, 0, 10'000, /*handed_over=*/true});
    policy.CopiedOut(0, 1, 20'000, 0);
  }
  EXPECT_TRUE(policy.bypassed());
}

TEST(RegionPolicy, FewHitsDoNotPayForACheapRegion) {
  Region region{Costs{50'000, 8'000, 1'000, 2'000, 100}};  // breaks even at 20 %
  const Totals totals = region.Play(Repeating(0.05, 50, 1), 20'000);
  EXPECT_TRUE(region.policy.stats().bypassed);
  EXPECT_LT(totals.loss(), 300 * region.MissOverhead());
}

TEST(RegionPolicy, NoticesAStreamThatStartsToRepeatLate) {
  Region region{Costs{}};
  region.Play(Fresh(), 5'000);
  ASSERT_TRUE(region.policy.stats().bypassed);
  const Totals late = region.Play(Repeating(0.8, 200, 1), 2'000);
  Region always{Costs{}};
  const Totals best = always.Play(Repeating(0.8, 200, 1), 2'000, 8, /*automatic=*/false);
  EXPECT_FALSE(region.policy.stats().bypassed);
  EXPECT_GE(static_cast<double>(late.hits), 0.95 * static_cast<double>(best.hits));
}

TEST(RegionPolicy, RecognisesWhatWasSeenWhileLearning) {
  // 512 rows, over and over: nothing repeats within the 64 calls it takes to be bypassed.
  const auto cycle = [](std::uint64_t* at) { return [at] { return (*at)++ % 512; }; };
  std::uint64_t at = 0;
  Region region{Costs{}};
  region.Play(cycle(&at), 66);
  const Totals second = region.Play(cycle(&at), 64);
  EXPECT_FALSE(region.policy.stats().bypassed);
  EXPECT_GT(second.hits, second.rows / 2);
}

TEST(RegionPolicy, BypassesAStreamThatStopsRepeating) {
  Region region{Costs{}};
  region.Play(Repeating(0.8, 200, 1), 50'000);
  ASSERT_FALSE(region.policy.stats().bypassed);
  const Totals after = region.Play(Fresh(), 1'000);
  EXPECT_TRUE(region.policy.stats().bypassed);  // what was earned before buys no delay
  EXPECT_LT(after.loss(), 80 * region.MissOverhead());
}

TEST(RegionPolicy, FollowsLongPhases) {
  Region region{Costs{}};
  Region always{Costs{}};
  Totals got;
  Totals best;
  for (std::uint64_t phase = 0; phase < 20; ++phase) {
    region.Play(Fresh(), 500);
    always.Play(Fresh(), 500, 8, false);
    got = region.Play(Repeating(0.8, 200, phase), 500);
    best = always.Play(Repeating(0.8, 200, phase), 500, 8, false);
    EXPECT_GE(static_cast<double>(got.hits), 0.9 * static_cast<double>(best.hits)) << phase;
  }
  EXPECT_LE(region.policy.stats().switches, 20u);
}

TEST(RegionPolicy, StaysActiveThroughShortPhases) {
  Region region{Costs{}};
  region.Play(Repeating(0.8, 200, 1), 100);
  for (std::uint64_t phase = 0; phase < 200; ++phase) {
    region.Play(Fresh(), 30);
    region.Play(Repeating(0.8, 200, 1), 30);
  }
  EXPECT_EQ(region.policy.stats().switches, 0u);
}

TEST(RegionPolicy, BypassesAtOnceWhereAHitCostsMore) {
  Region region{Costs{5'000, 8'000, 1'000, 2'000, 100}};
  const Totals totals = region.Play(Repeating(0.3, 50, 1), 100);
  EXPECT_EQ(region.policy.stats().reason, BypassReason::kHitCost);
  EXPECT_LE(totals.rows - totals.passed, 7u * 8u);
  // Repeating does not wake it; it is only tried once in a while.
  region.Play(Repeating(1, 50, 1), 50'000);
  EXPECT_LE(region.policy.stats().probes, 4u);
  EXPECT_GE(region.policy.stats().probes, 2u);
}

TEST(RegionPolicy, FindsOutThatAHitNoLongerCostsMore) {
  Region region{Costs{5'000, 8'000, 1'000, 2'000, 100}};
  region.Play(Repeating(1, 50, 1), 100);
  ASSERT_EQ(region.policy.stats().reason, BypassReason::kHitCost);
  region.costs.recompute = 500'000;  // say, a processor that it has to share now
  region.Play(Repeating(1, 5'000, 2), 5'000);
  EXPECT_FALSE(region.policy.stats().bypassed);
  EXPECT_EQ(region.policy.stats().probes, 1u);
}

TEST(RegionPolicy, OneKindOfRowThatDoesNotPaySpeaksNotForAnother) {
  RegionPolicy policy;
  const auto call = [&](ShapeClass shape, std::uint64_t recompute_ns, bool found) {
    const Mode mode = policy.Begin({});
    if (Passes(mode)) return policy.Passed({shape, 0, 0, 0});
    policy.LookedUp({shape, 1, found ? 1u : 0u, 0, 8'000, 1'000, found ? recompute_ns : 0});
    if (found) return;
    policy.Computed(shape, 1, recompute_ns);
    policy.Published({shape, 1, 2'000, 0});
  };
  for (int i = 0; i < 1'000; ++i) {
    call(1, 5'000, false);
    call(2, 1'000'000, i > 10);
  }
  EXPECT_EQ(policy.stats().switches, 0u);
}

TEST(RegionPolicy, IsNotFooledForLongByRowsThatOnlyLookAlike) {
  Region region{Costs{}};
  region.visible = 0;  // all rows have one signature, and none is equal to another
  const Totals totals = region.Play(Fresh(), 125'000);
  EXPECT_LT(totals.loss() / totals.recompute_ns, 0.001);
  const Totals later = region.Play(Fresh(), 125'000);
  EXPECT_LT(later.loss() / later.recompute_ns, 0.0006);
}

TEST(RegionPolicy, DoesNotWatchWhereWatchingCostsANoticeableShare) {
  Region region{Costs{15'000, 8'000, 1'000, 2'000, 200}};  // 200 ns are 1.3 %
  region.Play(Fresh(), 100);
  ASSERT_TRUE(region.policy.stats().bypassed);
  EXPECT_EQ(region.policy.Begin({}), Mode::kPass);
}

TEST(RegionPolicy, OffLooksEverythingUp) {
  Region region{Costs{}};
  EXPECT_EQ(region.Play(Fresh(), 1'000, 8, /*automatic=*/false).passed, 0u);
  region.Play(Fresh(), 100);
  ASSERT_TRUE(region.policy.stats().bypassed);
  EXPECT_EQ(region.Play(Fresh(), 1'000, 8, /*automatic=*/false).passed, 0u);
  EXPECT_FALSE(region.policy.stats().bypassed);
  EXPECT_EQ(region.policy.stats().reason, BypassReason::kNone);
}

TEST(RegionPolicy, OffAndOnAgainBetweenTwoCallsVoidsWhatWasDecided) {
  Region region{Costs{}};
  region.Play(Fresh(), 100);
  ASSERT_TRUE(region.policy.stats().bypassed);
  region.setting = region.setting.After(false).After(true);
  EXPECT_EQ(region.Play(Fresh(), 1).passed, 0u);
  EXPECT_FALSE(region.policy.stats().bypassed);
  EXPECT_EQ(region.policy.stats().probes, 0u);
  // Only once: it is judged again.
  region.Play(Fresh(), 100);
  EXPECT_TRUE(region.policy.stats().bypassed);
}

TEST(RegionPolicy, RowCostIsWhatIsUsual) {
  RegionPolicy policy;
  for (const std::uint64_t elapsed : {9'000, 1'000, 1'010, 1'000, 80'000, 990, 1'000}) {
    policy.Computed(3, 1, elapsed);
  }
  EXPECT_NEAR(static_cast<double>(policy.Computed(3, 2, 50'000).recompute_ns), 1'000, 15);
  EXPECT_NEAR(static_cast<double>(policy.Computed(9, 2, 50'000).recompute_ns), 25'000, 15);
}

TEST(RegionPolicy, VerifyingHitsIsNoReasonAgainstARegion) {
  RegionPolicy policy;
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_FALSE(Passes(policy.Begin({}))) << i;
    policy.LookedUp({0, 8, 0, i > 10 ? 8u : 0u, 8'000, 0, 0});
    policy.Computed(0, 8, 1'000'000);
    policy.Published({0, 8, 1'000, 0});
  }
}

TEST(RegionPolicy, ThreadsShareOneRegion) {
  RegionPolicy policy;
  SignatureFilter filter;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const Mode mode = policy.Begin({});
        const std::size_t seen = Notes(mode) && filter.Note((i << 50) + t) ? 1 : 0;
        if (Passes(mode)) {
          policy.Passed({0, 1, seen, 10});
          continue;
        }
        policy.LookedUp({0, 1, 0, 0, 1'000, 0, 0});
        policy.Computed(0, 1, 100'000);
        policy.Published({0, 1, 500, 0});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const RegionPolicy::Stats stats = policy.stats();
  EXPECT_GE(stats.switches, 1u);
  EXPECT_EQ(stats.switches, stats.probes + (stats.bypassed ? 1 : 0));
}

TEST(ShapeClass, KeepsSizesAQuarterOctaveApart) {
  EXPECT_EQ(ShapeClassOf(0), 0);
  EXPECT_EQ(ShapeClassOf(7), 7);
  EXPECT_EQ(ShapeClassOf(1000), ShapeClassOf(1023));
  EXPECT_NE(ShapeClassOf(1023), ShapeClassOf(1024));
  EXPECT_NE(ShapeClassOf(1024), ShapeClassOf(1280));
  for (std::size_t bytes = 1; bytes != 0; bytes *= 2) EXPECT_LT(ShapeClassOf(bytes), kShapeClasses);
}

}  // namespace
}  // namespace actcache
