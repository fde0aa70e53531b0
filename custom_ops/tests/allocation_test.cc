// Every allocation that loading a model and running it makes fails once: the Run then fails with a
// status or returns what it has to, the next one is right, and nothing stays behind.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "config/config.h"
#include "failing_new.h"
#include "flight/open_flights.h"
#include "ops_fake_region.h"
#include "region/registry.h"
#include "store/store.h"
#include "tier/tiers.h"
#include "tier_testing.h"

namespace actcache {
namespace {

using fake::FakeRegion;
using testing_support::FailingNew;

struct Shape {
  const char* granularity;
  std::int64_t axis;
  std::size_t width = 3;
};

// Of rows of which two are handed over to be copied.
constexpr std::size_t kLarge = 4000;

// What a region is asked for, in this order: cold, equal rows, partly warm, warm, more rows than
// fit the operators' inline arrays (but for large ones), no row.
struct Script {
  Script(const std::string& id, const Shape& shape) : region(id, shape.granularity, shape.axis) {
    for (const fake::Numbers& numbers :
         {fake::Numbers{1, 2}, {3, 3, 1}, {1, 4, 2, 5}, {5, 1}, Many(), {}}) {
      if (shape.width == kLarge && numbers.size() > 4) continue;
      calls.push_back(fake::RowsOf(numbers, shape.width, shape.axis));
    }
  }

  static fake::Numbers Many() {
    fake::Numbers numbers;
    for (std::int64_t i = 0; i < 40; ++i) numbers.push_back(i * i % 23);
    return numbers;
  }

  FakeRegion region;
  std::vector<ort::Value> calls;
};

// Loads the region and runs all calls; returns how many failed, and adds those that were wrong.
int RunAll(Script* script, int* wrong) {
  int failed = 0;
  try {
    script->region.Load();
  } catch (const std::bad_alloc&) {
    script->region.Load();  // the host tries again
    ++failed;
  }
  for (const ort::Value& x : script->calls) {
    const FakeRegion::Outcome outcome = script->region.Run(x);
    if (outcome.failed) {
      ++failed;
    } else if (!script->region.IsRight(outcome, x)) {
      ++*wrong;
    }
  }
  return failed;
}

void ExpectSound(Script* script, const std::string& what) {
  int wrong = 0;
  EXPECT_EQ(RunAll(script, &wrong), 0) << what;
  EXPECT_EQ(wrong, 0) << what;
  OpenFlights::OfThisThread().EndAll();
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_EQ(Store::Process().stats().bytes, 0u) << what;
}

class Allocation : public ::testing::TestWithParam<Shape> {
 protected:
  // A new region each time, so that it begins cold.
  static Script Fresh() {
    static int number = 0;
    return Script("allocation" + std::to_string(number++), GetParam());
  }
};

TEST_P(Allocation, OfTheOperatorsFailsOnceEach) {
  bool failed = true;
  std::uint64_t nth = 1;
  for (; failed; ++nth) {
    Script script = Fresh();
    int wrong = 0;
    int failed_runs = 0;
    {
      const FailingNew failing(nth, false);
      failed_runs = RunAll(&script, &wrong);
      failed = failing.failed();
    }
    ASSERT_EQ(wrong, 0) << "allocation " << nth;
    ASSERT_LE(failed_runs, 1) << "allocation " << nth;
    ExpectSound(&script, "after allocation " + std::to_string(nth) + " failed");
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(nth, 50u);  // else they were not seen
}

// Memory is gone for good in the middle of a call. What began before may go on to the end.
TEST_P(Allocation, OfTheOperatorsAllFailFromOneOn) {
  bool failed = true;
  for (std::uint64_t nth = 1; failed; ++nth) {
    Script script = Fresh();
    script.region.Load();
    int wrong = 0;
    {
      const FailingNew failing(nth, true);
      for (const ort::Value& x : script.calls) {
        const FakeRegion::Outcome outcome = script.region.Run(x);
        if (!outcome.failed && !script.region.IsRight(outcome, x)) ++wrong;
      }
      failed = failing.failed();
    }
    ASSERT_EQ(wrong, 0) << "from allocation " << nth;
    ExpectSound(&script, "after allocations failed from " + std::to_string(nth));
    ASSERT_FALSE(HasFailure());
  }
}

// The store's own, which is no failure of a Run at all.
TEST_P(Allocation, OfTheStoreFailsFromEachOn) {
  for (std::uint64_t nth = 1; nth < 80; ++nth) {
    Script script = Fresh();
    FailAllocationsFromForTest(nth);
    int wrong = 0;
    const int failed_runs = RunAll(&script, &wrong);
    FailAllocationsFromForTest(0);
    ASSERT_EQ(failed_runs, 0) << "allocation " << nth;
    ASSERT_EQ(wrong, 0) << "allocation " << nth;
    ExpectSound(&script, "after allocation " + std::to_string(nth) + " of the store failed");
    ASSERT_FALSE(HasFailure());
  }
}

// Memory has forgotten what a tier still has. What a lookup found there before it ran out of memory
// is neither used nor counted.
TEST(AllocationWithTier, OfALookupFailsOnceEach) {
  const TestFolder folder;
  Config::Process().Configure("disk_path", folder.path() + "/store");
  Config::Process().Configure("bypass", "off");
  const std::string name = "allocation with a tier";
  FakeRegion region(name, "row", 0);
  region.Load();
  Region& own = Registry::Process().InternRegion(name, name);
  const ort::Value x = fake::RowsOf(Script::Many(), 3, 0);
  bool failed = true;
  for (std::uint64_t nth = 1; failed; ++nth) {
    ASSERT_FALSE(region.Run(x).failed);
    ASSERT_TRUE(Tiers::Process().Flush(20'000'000'000));
    Store::Process().Invalidate(Selection{}, SteadyNow());
    own.recompute_time.Add(1, std::uint64_t{3600} * 1'000'000'000);  // else no tier is waited for
    FakeRegion::Outcome outcome;
    {
      const FailingNew failing(nth, false);
      outcome = region.Run(x);
      failed = failing.failed();
    }
    ASSERT_TRUE(outcome.failed || region.IsRight(outcome, x)) << "allocation " << nth;
    ASSERT_LE(own.counters.disk_hits, own.counters.hits) << "allocation " << nth;
    OpenFlights::OfThisThread().EndAll();
  }
  EXPECT_GT(own.counters.disk_hits, 0u);
  Config::Process().Configure("bypass", std::nullopt);
  Config::Process().Configure("disk_path", std::nullopt);
  Store::Process().Invalidate(Selection{}, SteadyNow());
}

INSTANTIATE_TEST_SUITE_P(Granularities, Allocation,
                         ::testing::Values(Shape{"row", 0}, Shape{"row", 1}, Shape{"tensor", -1},
                                           Shape{"row", 0, kLarge}));

}  // namespace
}  // namespace actcache
