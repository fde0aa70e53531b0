// What a call claims and waits for, one step of SingleFlight at a time.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "flight_caller.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::uint64_t kMinute = 60'000'000'000;
constexpr std::uint8_t kSkipped = 2;

// Another call's flight that holds a key.
FlightToken HeldByAnother(std::uint64_t number) {
  FlightTable& table = FlightTable::Process();
  const FlightToken token = table.Start(SteadyNow(), kMinute);
  EXPECT_EQ(table.TryClaim(KeyNumber(number), token).outcome, FlightTable::Outcome::kClaimed);
  return token;
}

TEST(SingleFlightClaims, WhatIsComputedAnywayWaitsForNobody) {
  const Numbers numbers = FreshNumbers(2);
  const FlightToken other = HeldByAnother(numbers[0]);
  RecomputeTime time;
  time.Add(1, 20'000'000);
  const Key keys[] = {KeyNumber(numbers[0]), KeyNumber(numbers[1])};
  const std::uint8_t flags[] = {kSkipped, 1};
  SingleFlight flight(&time, time);
  flight.BeginSearch();
  EXPECT_FALSE(flight.SearchAgain(keys, flags, 2, kSkipped));
  const FlightToken own = flight.HandOver();
  EXPECT_NE(own, kNoFlight);  // of the second key
  FlightTable::Process().End(own);
  FlightTable::Process().End(other);
}

TEST(SingleFlightClaims, WhatWasStoredBetweenSearchAndClaimIsLookedUp) {
  for (const bool stored_meanwhile : {true, false}) {
    const std::uint64_t number = FreshNumber();
    RecomputeTime time;
    const Key key = KeyNumber(number);
    const std::uint8_t flag = 0;
    const FlightToken other = HeldByAnother(number);
    if (!stored_meanwhile) FlightTable::Process().End(other);
    SingleFlight flight(&time, time);
    flight.BeginSearch();
    if (stored_meanwhile) FlightTable::Process().End(other);
    EXPECT_EQ(flight.SearchAgain(&key, &flag, 1, kSkipped), stored_meanwhile);
    FlightTable::Process().End(flight.HandOver());
  }
}

}  // namespace
}  // namespace actcache
