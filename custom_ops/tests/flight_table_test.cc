// The table of flights: who may claim what, and who is freed when.
#include "flight/flight_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "store_testing.h"

namespace actcache {
namespace {

using testing_support::KeyNumber;
using Outcome = FlightTable::Outcome;

constexpr std::uint64_t kSecond = 1'000'000'000;

class FlightTableTest : public ::testing::Test {
 protected:
  FlightToken Start(std::uint64_t expected_ns = kSecond) {
    return table_->Start(SteadyNow(), expected_ns);
  }
  Outcome TryClaim(std::uint64_t n, FlightToken flight) {
    return table_->TryClaim(KeyNumber(n), flight).outcome;
  }

  const std::unique_ptr<FlightTable> table_ = std::make_unique<FlightTable>();
};

TEST_F(FlightTableTest, AKeyBelongsToOneFlightUntilThatEnds) {
  const FlightToken first = Start();
  const FlightToken second = Start();
  EXPECT_EQ(TryClaim(1, first), Outcome::kClaimed);
  EXPECT_EQ(TryClaim(2, second), Outcome::kClaimed);
  const FlightTable::Claim refused = table_->TryClaim(KeyNumber(1), second);
  EXPECT_EQ(refused.outcome, Outcome::kForeign);
  EXPECT_EQ(refused.holder, first);
  table_->End(first);
  EXPECT_FALSE(table_->Lives(first));
  EXPECT_EQ(TryClaim(1, second), Outcome::kClaimed);
  EXPECT_EQ(TryClaim(1, Start()), Outcome::kForeign);
}

TEST_F(FlightTableTest, AFlightEndsOnceAndAlone) {
  const FlightToken flight = Start();
  table_->End(flight);
  table_->End(flight);
  table_->End(kNoFlight);
  EXPECT_EQ(table_->ended(), 1u);
  // Sooner or later another flight takes the same place, which the old name does not reach.
  std::vector<FlightToken> others;
  while (const FlightToken other = Start()) others.push_back(other);
  table_->End(flight);
  for (const FlightToken other : others) EXPECT_TRUE(table_->Lives(other));
  EXPECT_EQ(table_->ended(), 1u);
}

TEST_F(FlightTableTest, WithoutRoomThereIsNoFlight) {
  std::vector<FlightToken> flights;
  while (const FlightToken flight = Start()) flights.push_back(flight);
  EXPECT_GE(flights.size(), 64u);
  for (const FlightToken flight : flights) EXPECT_TRUE(table_->Lives(flight));
  table_->End(flights[3]);
  // A place that became free is found again, if not at the first attempt.
  FlightToken next = kNoFlight;
  for (int i = 0; i < 100 && next == kNoFlight; ++i) next = Start();
  EXPECT_NE(next, kNoFlight);
}

TEST_F(FlightTableTest, PastDeadlinesMakeRoom) {
  std::uint64_t now = 1;
  const auto fill = [&] {
    std::size_t flights = 0;
    while (table_->Start(now, 1000) != kNoFlight) ++flights;
    return flights;
  };
  const std::size_t flights = fill();
  EXPECT_EQ(fill(), 0u);
  now += WaitLimit(1000);
  EXPECT_GE(fill(), flights);
}

TEST_F(FlightTableTest, WithoutRoomThereIsNoClaim) {
  const FlightToken flight = Start();
  // Keys that differ in one word only share a stripe.
  std::uint64_t claimed = 0;
  const auto key = [](std::uint64_t n) { return Key{{n, 7}}; };
  while (claimed < 1000 && table_->TryClaim(key(claimed), flight).outcome == Outcome::kClaimed) {
    ++claimed;
  }
  EXPECT_GE(claimed, 8u);
  EXPECT_LT(claimed, 1000u);
  const FlightToken other = Start();
  EXPECT_EQ(table_->TryClaim(key(claimed), other).outcome, Outcome::kNoRoom);
  for (std::uint64_t n = 0; n < claimed; ++n) {
    EXPECT_EQ(table_->TryClaim(key(n), other).outcome, Outcome::kForeign);
  }
  table_->End(flight);
  for (std::uint64_t n = 0; n < claimed; ++n) {
    EXPECT_EQ(table_->TryClaim(key(n + 500), other).outcome, Outcome::kClaimed);
  }
}

TEST_F(FlightTableTest, WaitsUntilTheEnd) {
  const FlightToken flight = Start(100 * kSecond);
  std::atomic<int> done{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      table_->Wait(flight, SteadyNow() + 300 * kSecond);
      EXPECT_FALSE(table_->Lives(flight));
      ++done;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(done, 0);
  table_->End(flight);
  for (std::thread& waiter : waiters) waiter.join();
  table_->Wait(flight, SteadyNow() + 300 * kSecond);  // is over, so not at all
}

TEST_F(FlightTableTest, WaitsNoLongerThanTheCallerWants) {
  const FlightToken flight = Start(100 * kSecond);
  const std::uint64_t until = SteadyNow() + kSecond / 100;
  table_->Wait(flight, until);
  EXPECT_GE(SteadyNow(), until);
  EXPECT_TRUE(table_->Lives(flight));
}

TEST_F(FlightTableTest, EndsAFlightAtItsDeadline) {
  const std::uint64_t start = SteadyNow();
  const FlightToken flight = table_->Start(start, kSecond / 200);
  std::thread([&] { table_->Wait(flight, start + 100 * kSecond); }).join();
  EXPECT_FALSE(table_->Lives(flight));
  EXPECT_LT(SteadyNow(), start + 100 * kSecond);
}

TEST_F(FlightTableTest, EndsTheFlightOfAnIdleThread) {
  const std::uint64_t deadline = SteadyNow() + WaitLimit(2 * kSecond);
  const FlightToken flight = Start(2 * kSecond);
  // This thread leads, and sleeps in join().
  std::thread([&] { table_->Wait(flight, deadline + kSecond); }).join();
  EXPECT_FALSE(table_->Lives(flight));
  EXPECT_LT(SteadyNow(), deadline);
}

TEST_F(FlightTableTest, DoesNotEndTheFlightOfABusyThread) {
  std::atomic<bool> stop{false};
  std::promise<FlightToken> started;
  std::thread leader([&] {
    started.set_value(Start(0));
    while (!stop) {
    }
  });
  const FlightToken flight = started.get_future().get();
  table_->Wait(flight, SteadyNow() + kSecond / 20);  // 25 windows of idleness
  EXPECT_TRUE(table_->Lives(flight));
  stop = true;
  leader.join();
}

TEST_F(FlightTableTest, CountsAnEndBeforeItFreesTheKeys) {
  for (std::uint64_t n = 0; n < 500; ++n) {
    const FlightToken flight = Start();
    ASSERT_EQ(TryClaim(n, flight), Outcome::kClaimed);
    std::thread other([&] { table_->End(flight); });
    const std::uint64_t before = table_->ended();
    const FlightToken own = Start();
    const bool claimed = TryClaim(n, own) == Outcome::kClaimed;
    // Either the end was counted before (then what it stored was found), or it shows now.
    EXPECT_TRUE(!claimed || table_->ended() != before || before == 2 * n + 1);
    other.join();
    table_->End(own);
  }
}

}  // namespace
}  // namespace actcache
