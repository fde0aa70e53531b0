// What a lookup does so that concurrent calls compute a key once.
//
//   SingleFlight flight(node, region.recompute_time);
//   do {
//     flight.BeginSearch();
//     ... search the store for all keys ...
//   } while (flight.SearchAgain(missing keys));
//   ... flight.HandOver() goes into the plan, and whoever stores the results ends that flight ...
//
// The rules
//   1. A call that misses keys claims them, all or none. If somebody else computes one of them it
//      claims nothing, waits for that flight to end, and searches again.
//   2. A thread that leads a flight (an outer or a parallel region of its Run) never waits: it
//      claims what is free and computes everything. So those who are waited for do not wait, and
//      there is no deadlock.
//   3. The waiting of a call is bounded in total, by WaitLimit() of what computing its own rows is
//      expected to take. After that, rule 2 holds for it too. That bound is also what ends the wait
//      of a call whose own Run is terminated meanwhile: a kernel cannot see that.
//   4. What others have stored between the search and the claim is found by searching once more.
#ifndef ACTCACHE_FLIGHT_SINGLE_FLIGHT_H_
#define ACTCACHE_FLIGHT_SINGLE_FLIGHT_H_

#include <cstddef>
#include <cstdint>

#include "flight/flight_table.h"
#include "flight/open_flights.h"
#include "flight/recompute_time.h"
#include "hash/key.h"

namespace actcache {

// Of one call, on the stack of its thread. None of the methods throws. A flight that is not handed
// over ends with this object.
class SingleFlight {
 public:
  // `node` identifies the lookup's node; flights that this thread led from it before are over.
  SingleFlight(const void* node, const RecomputeTime& time) noexcept
      : node_(node), time_(time), open_(OpenFlights::OfThisThread()) {
    open_.BeginLookup(node);
  }
  ~SingleFlight() { EndFlight(); }
  SingleFlight(const SingleFlight&) = delete;
  SingleFlight& operator=(const SingleFlight&) = delete;

  void BeginSearch() noexcept { ended_before_ = table_.ended(); }

  // After a search that did not find `count` keys, all different. Those whose flags have a bit of
  // `skipped` are neither claimed nor waited for. May wait. True: search again; false: compute
  // what is missing now.
  bool SearchAgain(const Key* keys, const std::uint8_t* flags, std::size_t count,
                   std::uint8_t skipped) noexcept;

  // The flight that holds the claims of this call, kNoFlight if it has none. Whoever gets it ends
  // it; if nobody does, OpenFlights says when it ends.
  FlightToken HandOver() noexcept;

 private:
  // Claims keys for flight_: all that are free if `whatever_is_free`, else up to the first that is
  // not. Returns a flight that holds one that is not free, or kNoFlight.
  FlightToken Claim(const Key* keys, const std::uint8_t* flags, std::size_t count,
                    std::uint8_t skipped, bool whatever_is_free) noexcept;
  void EndFlight() noexcept;

  const void* const node_;
  const RecomputeTime& time_;
  FlightTable& table_ = FlightTable::Process();
  OpenFlights& open_;
  FlightToken flight_ = kNoFlight;
  std::size_t claims_ = 0;             // of flight_
  std::uint64_t deadline_ns_ = 0;      // of flight_
  std::uint64_t patience_end_ns_ = 0;  // 0: has not waited yet
  std::uint64_t ended_before_ = 0;
  bool decided_ = false;  // what the next search does not find is computed
};

}  // namespace actcache

#endif  // ACTCACHE_FLIGHT_SINGLE_FLIGHT_H_
