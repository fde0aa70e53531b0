// A call as the operators make it, without onnxruntime: look up, compute, store.
#ifndef ACTCACHE_TESTS_FLIGHT_CALLER_H_
#define ACTCACHE_TESTS_FLIGHT_CALLER_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "flight/single_flight.h"
#include "store_testing.h"

namespace actcache::testing_support {

using Numbers = std::vector<std::uint64_t>;

// What a lookup leaves to be computed.
struct Planned {
  Numbers missing;
  FlightToken flight = kNoFlight;
};

// A lookup node and the region it belongs to. Thread-safe.
class Caller {
 public:
  // `expected_ns`: what the region's calls took so far; 0: nothing is known.
  explicit Caller(std::uint64_t expected_ns = 0) {
    if (expected_ns != 0) time_.Add(1, expected_ns);
  }

  // REQUIRES: the numbers are different.
  Planned LookUp(const Numbers& numbers) const {
    SingleFlight flight(this, time_);
    Planned planned;
    std::vector<Key> keys;
    std::vector<std::uint8_t> flags;
    do {
      flight.BeginSearch();
      planned.missing.clear();
      keys.clear();
      for (const std::uint64_t n : numbers) {
        if (Has(&Store::Process(), n)) continue;
        planned.missing.push_back(n);
        keys.push_back(KeyNumber(n));
      }
      flags.assign(keys.size(), 0);
    } while (flight.SearchAgain(keys.data(), flags.data(), keys.size(), 0));
    planned.flight = flight.HandOver();
    return planned;
  }

  // Stores and ends the flight.
  static void Finish(const Planned& planned) {
    for (const std::uint64_t n : planned.missing) Put(&Store::Process(), n, 100, 1000);
    FlightTable::Process().End(planned.flight);
  }

 private:
  RecomputeTime time_;
};

// Keys that no other test of the process uses.
inline std::uint64_t FreshNumber() {
  static std::atomic<std::uint64_t> next{1'000'000};
  return next++;
}
inline Numbers FreshNumbers(std::size_t count) {
  Numbers numbers;
  while (numbers.size() < count) numbers.push_back(FreshNumber());
  return numbers;
}

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_FLIGHT_CALLER_H_
