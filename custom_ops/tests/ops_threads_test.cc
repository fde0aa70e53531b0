// The operators under many threads: Runs that end half-way, settings that change, entries that are
// invalidated and evicted. Whatever happens, what a Run returns is what the region computes.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "config/config.h"
#include "flight/open_flights.h"
#include "ops/hand_over_table.h"
#include "ops_fake_region.h"
#include "rounds.h"

namespace actcache {
namespace {

using fake::FakeRegion;
using fake::Stop;
using Random = std::mt19937_64;

constexpr std::size_t kMostBudget = 800000;

// A region with the shape of its calls.
struct Subject {
  Subject(const char* id, const char* granularity, std::int64_t axis_in, std::size_t width_in)
      : region(id, granularity, axis_in), axis(axis_in), width(width_in) {
    region.Load();
  }
  FakeRegion region;
  const std::int64_t axis;
  const std::size_t width;
};

struct Tally {
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> failed{0};      // Runs that nobody stopped
  std::atomic<std::uint64_t> not_failed{0};  // Runs that could not succeed
  std::atomic<std::uint64_t> over_budget{0};
  std::atomic<bool> done{false};
};

// Few numbers, small ones more often, so that calls overlap and rows repeat within a call.
fake::Numbers Draw(Random* random) {
  fake::Numbers numbers(1 + (*random)() % 9);
  const std::uint64_t bound = 1 + (*random)() % 60;
  for (std::int64_t& number : numbers) number = static_cast<std::int64_t>((*random)() % bound);
  return numbers;
}

Stop DrawStop(Random* random) {
  const std::uint64_t drawn = (*random)() % 32;
  return drawn < 3   ? Stop::kInRegion
         : drawn < 4 ? Stop::kInLookup
         : drawn < 5 ? Stop::kInStore
         : drawn < 8 ? Stop::kBeforeFetch
         : drawn < 9 ? Stop::kInFetch
                     : Stop::kNever;
}

void RunOnce(const Subject& subject, Random* random, Tally* tally) {
  const ort::Value x = fake::RowsOf(Draw(random), subject.width, subject.axis);
  const Stop stop = DrawStop(random);
  const FakeRegion::Outcome outcome = subject.region.Run(x, stop);
  if (!outcome.failed) {
    if (!subject.region.IsRight(outcome, x)) ++tally->wrong;
    if (stop == Stop::kInLookup) ++tally->not_failed;
    return;
  }
  if (stop == Stop::kNever) ++tally->failed;
  // Some hosts say so, others do not.
  if ((*random)() % 2 == 0) OpenFlights::OfThisThread().EndAll();
}

void TurnAKnob(Random* random) {
  const auto one_of = [&](std::initializer_list<const char*> values) {
    return std::string(values.begin()[(*random)() % values.size()]);
  };
  Config& config = Config::Process();
  switch ((*random)() % 8) {
    case 0:
      config.Configure("budget_bytes", one_of({"0", "20000", "100000", "800000", "800000"}));
      break;
    case 1:
      config.Configure("verify_fraction", one_of({"0", "0", "0.3", "1"}));
      break;
    case 2:
      config.Configure("single_flight", one_of({"on", "off"}));
      break;
    case 3:
      config.Configure("bypass", one_of({"auto", "off"}));
      break;
    case 4:
      config.Configure("hash", one_of({"blake3", "xxh3"}));
      break;
    case 5:
      config.Configure("namespace_quota_bytes", one_of({"0", "50000"}));
      break;
    case 6:
      Store::Process().Invalidate(Selection{}, SteadyNow());
      break;
    default:
      (*random)() % 2 == 0 ? Store::Process().Pin(Selection{}, SteadyNow())
                           : Store::Process().Unpin(Selection{}, SteadyNow());
  }
}

void TakeBackKnobs() {
  Store::Process().Unpin(Selection{}, SteadyNow());
  for (const Knob& knob : kKnobs) Config::Process().Configure(knob.name, std::nullopt);
}

TEST(OperatorThreads, NeverReturnWrongBytesWhateverHappens) {
  const std::vector<std::unique_ptr<Subject>> subjects = [] {
    std::vector<std::unique_ptr<Subject>> made;
    made.push_back(std::make_unique<Subject>("threads_rows", "row", 0, 20));
    made.push_back(std::make_unique<Subject>("threads_columns", "row", 1, 7));
    made.push_back(
        std::make_unique<Subject>("threads_long", "row", 0, 2000));  // copied in parallel
    made.push_back(std::make_unique<Subject>("threads_whole", "tensor", -1, 5));
    return made;
  }();
  Config::Process().Configure("budget_bytes", std::to_string(kMostBudget));
  Tally tally;
  std::vector<std::thread> users;
  for (unsigned user = 0; user < 6; ++user) {
    users.emplace_back([&, user] {
      Random random(user);
      for (int call = 0; call < testing_support::Rounds(600); ++call)
        RunOnce(*subjects[random() % subjects.size()], &random, &tally);
    });
  }
  std::thread operator_thread([&] {
    Random random(99);
    while (!tally.done) {
      TurnAKnob(&random);
      if (Store::Process().stats().bytes > kMostBudget) ++tally.over_budget;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (std::thread& user : users) user.join();
  tally.done = true;
  operator_thread.join();
  TakeBackKnobs();

  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_EQ(tally.failed, 0u);
  EXPECT_EQ(tally.not_failed, 0u);
  EXPECT_EQ(tally.over_budget, 0u);
  // Sessions end: what was handed over to Runs that were given up is let go.
  for (const auto& subject : subjects) subject->region.Load();
  EXPECT_EQ(HandOverTable::Process().count(), 0u);
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_EQ(Store::Process().stats().bytes, 0u);  // nobody holds an entry or a draft any more
  for (const auto& subject : subjects) {
    const ort::Value x = fake::RowsOf({1, 2, 1}, subject->width, subject->axis);
    EXPECT_TRUE(subject->region.IsRight(subject->region.Run(x), x));
    EXPECT_TRUE(subject->region.IsRight(subject->region.Run(x), x));
  }
}

}  // namespace
}  // namespace actcache
