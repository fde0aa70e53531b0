// Calls of many threads that want the same keys: each is computed once, and nobody waits for
// somebody who waits, or for somebody who is gone.
//
// Waits are given limits of minutes, so that a test that passes only by running into one of them
// does not pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "flight_caller.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::uint64_t kMinute = 60'000'000'000;

void Sleep(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

// Uses the processor, as a region does.
void Compute(std::uint64_t nanoseconds) {
  const std::uint64_t end = SteadyNow() + nanoseconds;
  while (SteadyNow() < end) {
  }
}

void OnThreads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(SingleFlight, AKeyIsComputedOnce) {
  const Caller caller(kMinute);
  for (int round = 0; round < 20; ++round) {
    const Numbers numbers = FreshNumbers(1);
    std::atomic<int> computed{0};
    OnThreads(8, [&](int) {
      const Planned planned = caller.LookUp(numbers);
      computed += static_cast<int>(planned.missing.size());
      if (!planned.missing.empty()) Compute(1'000'000);
      Caller::Finish(planned);
      EXPECT_TRUE(Has(&Store::Process(), numbers[0]));
    });
    EXPECT_EQ(computed, 1);
  }
}

TEST(SingleFlight, BatchesThatOverlapComputeEachKeyOnce) {
  const Caller caller(kMinute);
  for (int round = 0; round < 50; ++round) {
    const Numbers all = FreshNumbers(40);
    std::atomic<std::size_t> computed{0};
    OnThreads(6, [&](int thread) {
      std::mt19937 random(static_cast<unsigned>(100 * round + thread));
      for (int call = 0; call < 4; ++call) {
        Numbers batch = all;
        std::shuffle(batch.begin(), batch.end(), random);
        batch.resize(20);
        const Planned planned = caller.LookUp(batch);
        computed += planned.missing.size();
        Caller::Finish(planned);
      }
    });
    std::size_t stored = 0;
    for (const std::uint64_t n : all) stored += Has(&Store::Process(), n) ? 1 : 0;
    EXPECT_EQ(computed, stored);
  }
}

TEST(SingleFlight, OppositeOrdersDoNotBlockEachOther) {
  const Caller caller(kMinute);
  std::atomic<std::size_t> computed{0};
  std::vector<Numbers> pairs;
  for (int i = 0; i < 1000; ++i) pairs.push_back(FreshNumbers(2));
  OnThreads(2, [&](int thread) {
    for (Numbers pair : pairs) {
      if (thread == 1) std::swap(pair[0], pair[1]);
      const Planned planned = caller.LookUp(pair);
      computed += planned.missing.size();
      Caller::Finish(planned);
    }
  });
  EXPECT_EQ(computed, 2000u);
}

// Two Runs, each of which leads what the other looks up next: as in nested regions, or in the
// towers of a graph, whose lookups come before the first store.
TEST(SingleFlight, ALeaderDoesNotWait) {
  const Caller outer(kMinute);
  const Caller inner(kMinute);
  const std::array<Numbers, 2> keys = {FreshNumbers(1), FreshNumbers(1)};
  std::atomic<int> leading{0};
  std::atomic<int> looked{0};
  const std::uint64_t start = SteadyNow();
  OnThreads(2, [&](int thread) {
    const auto own = static_cast<std::size_t>(thread);
    const Planned first = outer.LookUp(keys[own]);
    EXPECT_NE(first.flight, kNoFlight);
    for (++leading; leading < 2;) std::this_thread::yield();
    const Planned second = inner.LookUp(keys[1 - own]);
    EXPECT_EQ(second.missing, keys[1 - own]);
    EXPECT_EQ(second.flight, kNoFlight);  // it is the other's
    for (++looked; looked < 2;) std::this_thread::yield();
    Caller::Finish(second);
    Caller::Finish(first);
  });
  EXPECT_LT(SteadyNow() - start, kMinute);
}

TEST(SingleFlight, ALeaderClaimsWhatIsFreeForItsOtherRegions) {
  const Caller outer(kMinute);
  const Caller inner(kMinute);
  const Planned first = outer.LookUp(FreshNumbers(1));
  const Numbers wanted = FreshNumbers(1);
  const Planned second = inner.LookUp(wanted);
  EXPECT_NE(second.flight, kNoFlight);
  std::atomic<bool> got{false};
  std::thread waiter([&] {
    EXPECT_TRUE(inner.LookUp(wanted).missing.empty());
    got = true;
  });
  Compute(20'000'000);
  EXPECT_FALSE(got);
  Caller::Finish(second);
  waiter.join();
  Caller::Finish(first);
}

TEST(SingleFlight, FindsWhatWasStoredBetweenSearchAndClaim) {
  const RecomputeTime time;
  const std::uint64_t n = FreshNumber();
  const Key key = KeyNumber(n);
  const std::uint8_t flags = 0;
  const Caller other;
  const Planned theirs = other.LookUp({n});
  std::thread([&] {
    SingleFlight flight(&time, time);
    flight.BeginSearch();
    ASSERT_FALSE(Has(&Store::Process(), n));
    Caller::Finish(theirs);
    EXPECT_TRUE(flight.SearchAgain(&key, &flags, 1, 0));
    flight.BeginSearch();
    ASSERT_TRUE(Has(&Store::Process(), n));
    EXPECT_FALSE(flight.SearchAgain(nullptr, nullptr, 0, 0));
    EXPECT_EQ(flight.HandOver(), kNoFlight);
  }).join();
}

TEST(SingleFlight, SkippedKeysAreNeitherClaimedNorWaitedFor) {
  const Caller caller(kMinute);
  const Numbers numbers = FreshNumbers(2);
  const Planned theirs = caller.LookUp({numbers[0]});
  std::thread([&] {
    const RecomputeTime time;
    const std::array<Key, 2> keys = {KeyNumber(numbers[0]), KeyNumber(numbers[1])};
    const std::array<std::uint8_t, 2> flags = {2, 3};
    SingleFlight flight(&time, time);
    flight.BeginSearch();
    EXPECT_FALSE(flight.SearchAgain(keys.data(), flags.data(), 2, 2));
    EXPECT_EQ(flight.HandOver(), kNoFlight);
  }).join();
  Caller::Finish(theirs);
}

// -- Leaders that fail
// --------------------------------------------------------------------------------

class FailingLeader : public ::testing::Test {
 protected:
  // Lets a thread wait for what `lead` has claimed on another, where `fail` then gives it up.
  // `after`, if any, keeps that thread busy until the waiter is done.
  void ExpectFreed(const std::function<void()>& fail, bool busy_after = true) {
    std::promise<FlightToken> led;
    std::promise<void> go;
    std::atomic<bool> done{false};
    std::thread leader([&] {
      led.set_value(caller_.LookUp(numbers_).flight);
      std::future<void> wait = go.get_future();
      while (wait.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      }
      fail();
      while (busy_after && !done) {
      }
    });
    const FlightToken flight = led.get_future().get();
    const std::uint64_t start = SteadyNow();
    std::thread waiter([&] {
      const Planned planned = caller_.LookUp(numbers_);
      EXPECT_EQ(planned.missing, numbers_);
      EXPECT_NE(planned.flight, kNoFlight);
      done = true;
      Caller::Finish(planned);
    });
    Sleep(20);
    EXPECT_FALSE(done);
    EXPECT_TRUE(FlightTable::Process().Lives(flight));
    go.set_value();
    waiter.join();
    EXPECT_LT(SteadyNow() - start, kMinute);
    leader.join();
  }

  const Caller caller_{kMinute};
  const Caller another_{kMinute};
  const Numbers numbers_ = FreshNumbers(3);
};

TEST_F(FailingLeader, IsOverWhenItsNodeBeginsAgain) {
  ExpectFreed([&] { caller_.LookUp(FreshNumbers(1)); });
}

TEST_F(FailingLeader, IsOverEvenIfTheNextCallHits) {
  const Numbers known = FreshNumbers(1);
  Put(&Store::Process(), known[0], 10, 10);
  ExpectFreed([&] { caller_.LookUp(known); });
}

TEST_F(FailingLeader, IsOverWhenItsThreadEnds) {
  ExpectFreed([] {}, /*busy_after=*/false);
}

TEST_F(FailingLeader, IsOverWhenTheHostSaysSo) {
  ExpectFreed([] { OpenFlights::OfThisThread().EndAll(); });
}

TEST_F(FailingLeader, IsNotOverWhenAnotherNodeBegins) {
  const Planned planned = caller_.LookUp(numbers_);
  another_.LookUp(FreshNumbers(1));
  EXPECT_TRUE(FlightTable::Process().Lives(planned.flight));
  OpenFlights::OfThisThread().EndAll();
  EXPECT_FALSE(FlightTable::Process().Lives(planned.flight));
}

TEST_F(FailingLeader, IsOverWhenItsThreadIsIdle) {
  const Caller caller(2'000'000'000);
  const std::uint64_t start = SteadyNow();
  const Planned planned = caller.LookUp(numbers_);
  std::thread([&] {
    EXPECT_EQ(caller.LookUp(numbers_).missing, numbers_);
  }).join();  // where this thread sleeps
  EXPECT_FALSE(FlightTable::Process().Lives(planned.flight));
  EXPECT_LT(SteadyNow() - start, WaitLimit(2'000'000'000));
}

TEST_F(FailingLeader, IsOverWhenItsLookupFails) {
  const RecomputeTime time;
  const Key key = KeyNumber(numbers_[0]);
  const std::uint8_t flags = 0;
  {
    SingleFlight flight(&time, time);
    flight.BeginSearch();
    flight.SearchAgain(&key, &flags, 1, 0);
    // An exception ends the kernel here.
  }
  const Planned planned = caller_.LookUp({numbers_[0]});
  EXPECT_NE(planned.flight, kNoFlight);
  Caller::Finish(planned);
}

// After an open flight's deadline its thread waits again.
TEST_F(FailingLeader, DoesNotCountAsLeaderForEver) {
  const Caller brief(1'000'000);
  brief.LookUp(FreshNumbers(1));
  Sleep(5);
  OpenFlights& open = OpenFlights::OfThisThread();
  EXPECT_FALSE(open.empty());
  open.BeginLookup(this);
  EXPECT_TRUE(open.empty());
}

TEST(SingleFlight, PatienceEndsBeforeASlowLeaderDoes) {
  const Caller slow(kMinute);
  const Caller quick(5'000'000);  // the same keys, but few rows
  const Numbers numbers = FreshNumbers(1);
  const Planned planned = slow.LookUp(numbers);
  std::atomic<bool> done{false};
  std::thread waiter([&] {
    const Planned own = quick.LookUp(numbers);
    EXPECT_EQ(own.missing, numbers);
    EXPECT_EQ(own.flight, kNoFlight);
    done = true;
  });
  while (!done) {
  }
  waiter.join();
  EXPECT_TRUE(FlightTable::Process().Lives(planned.flight));
  Caller::Finish(planned);
}

// -- Everything at once
// ---------------------------------------------------------------------------------

// A Run of nested and parallel regions with random rows; some are given up at a random point.
void RunAtRandom(const std::vector<Caller>& nodes, const Numbers& all, std::mt19937* random) {
  std::vector<Planned> open;
  for (const Caller& node : nodes) {
    Numbers batch = all;
    std::shuffle(batch.begin(), batch.end(), *random);
    batch.resize(1 + (*random)() % 6);
    open.push_back(node.LookUp(batch));
    Compute((*random)() % 50'000);
    switch ((*random)() % 16) {
      case 0:
        return;  // aborted
      case 1:
        OpenFlights::OfThisThread().EndAll();
        return;
      case 2:
      case 3:
      case 4:
        Caller::Finish(open.back());  // a region beside the next ones, not around them
        open.pop_back();
        break;
      default:
        break;
    }
  }
  while (!open.empty()) {
    Caller::Finish(open.back());
    open.pop_back();
  }
}

TEST(SingleFlight, NobodyIsStuckWhateverHappens) {
  const std::vector<Caller> nodes(4);
  const Numbers all = FreshNumbers(30);
  std::array<std::atomic<int>, 6> runs{};
  std::atomic<bool> done{false};
  std::thread disturber([&] {
    while (!done) {
      Store::Process().Invalidate({}, SteadyNow());
      Sleep(1);
    }
  });
  OnThreads(6, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread));
    for (int run = 0; run < 300; ++run) {
      RunAtRandom(nodes, all, &random);
      ++runs[static_cast<std::size_t>(thread)];
      if (random() % 64 == 0) Sleep(1);
    }
  });
  done = true;
  disturber.join();
  for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 300);
  // Nobody leads any more: the threads have ended.
  for (const std::uint64_t n : all) {
    const Planned planned = nodes[0].LookUp({n});
    EXPECT_EQ(planned.flight == kNoFlight, planned.missing.empty());
    Caller::Finish(planned);
  }
}

TEST(SingleFlight, WithoutMemoryForResultsEveryoneComputes) {
  const Caller caller(kMinute);
  const Numbers numbers = FreshNumbers(2);
  std::atomic<std::size_t> computed{0};
  FailAllocationsFromForTest(1);
  OnThreads(4, [&](int) {
    const Planned planned = caller.LookUp(numbers);
    computed += planned.missing.size();
    Caller::Finish(planned);
  });
  FailAllocationsFromForTest(0);
  EXPECT_EQ(computed, 8u);
}

}  // namespace
}  // namespace actcache
