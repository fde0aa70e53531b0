// Which keys are being computed right now, and by whom, so that others wait instead of computing
// them too.
//
// A flight is what one call computes: it claims keys when the call's lookup is done, and ends when
// their results are stored, or given up. All of its keys are free again with that one step: a claim
// counts only while its flight lives, and what dead flights leave in the table is overwritten.
//
// The table has a fixed size and never allocates. A flight or a claim that finds no room is not
// made: its rows are computed as if nobody else could want them, which is always right.
//
// Every flight ends, whatever becomes of its leader: a waiter that sees the leader's thread idle
// ends it, and so does anyone who meets it after its deadline.
#ifndef ACTCACHE_FLIGHT_FLIGHT_TABLE_H_
#define ACTCACHE_FLIGHT_FLIGHT_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "flight/thread_activity.h"
#include "hash/key.h"

namespace actcache {

// Names a flight; not used again before 2^32 others, after which confusing two of them merely frees
// somebody's waiters early. Plain data, which travels in the plan.
using FlightToken = std::uint32_t;
inline constexpr FlightToken kNoFlight = 0;

// How long a flight may live, and a call may wait in total: this many times as long as computing is
// expected to take. A call at the worst possible moment waits for a leader that fails at its end,
// and then for the next.
inline constexpr std::uint64_t kWaitFactor = 3;
// The same while nothing was measured: the first computation of a region may be one of seconds,
// and the first calls come together often.
inline constexpr std::uint64_t kUnmeasuredWaitNs = 500'000'000;

// `expected_ns` is what computing takes, 0 if that was never measured.
constexpr std::uint64_t WaitLimit(std::uint64_t expected_ns) noexcept {
  return expected_ns == 0 ? kUnmeasuredWaitNs : kWaitFactor * expected_ns;
}

// All methods are thread-safe, and none throws. Times are SteadyNow()'s.
//
// Locks: a stripe's or a flight's, never two at once.
class FlightTable {
 public:
  FlightTable() = default;
  FlightTable(const FlightTable&) = delete;
  FlightTable& operator=(const FlightTable&) = delete;

  // The one the operators share. Never destroyed.
  static FlightTable& Process() noexcept;
  // What host/fork.h does. REQUIRES: no other thread.
  static void ReplaceInForkedChild() noexcept;

  // A new flight, led by the calling thread, that holds no key yet; kNoFlight if too many live. The
  // caller sees to it that End() is called, soon.
  FlightToken Start(std::uint64_t now_ns, std::uint64_t expected_ns) noexcept;

  enum class Outcome : std::uint8_t { kClaimed, kForeign, kNoRoom };
  struct Claim {
    Outcome outcome;
    FlightToken holder;  // if kForeign: the live flight that has the key
  };
  // Claims a key for a flight of the caller's. REQUIRES: the flight does not hold the key.
  Claim TryClaim(const Key& key, FlightToken flight) noexcept;

  // Frees the keys of a flight and everyone who waits for it. Nothing if it has ended before. What
  // the caller has stored until then is found by everyone who finds a key free.
  void End(FlightToken flight) noexcept;

  bool Lives(FlightToken flight) const noexcept {
    return flight != kNoFlight && FlightOf(flight).token.load(std::memory_order_acquire) == flight;
  }

  // Returns when the flight has ended, or at `until_ns`. Ends it itself at its deadline, or if its
  // leader is idle (thread_activity.h) for a quarter of the expected time, and 2 ms at least.
  // REQUIRES: the calling thread has no flight of its own.
  void Wait(FlightToken flight, std::uint64_t until_ns) noexcept;

  // How many flights have ended. Who reads this, looks into the store and then claims a key, and
  // finds the count unchanged, can rely on what was absent still being absent.
  std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  static constexpr std::size_t kFlights = 128;  // calls that compute at one time
  static constexpr std::size_t kStripes = 256;
  static constexpr std::size_t kStripeKeys = 16;
  static constexpr int kStartAttempts = 8;

  struct alignas(64) Flight {
    mutable Mutex mutex;
    std::atomic<FlightToken> token{kNoFlight};  // written under the mutex; kNoFlight: free
    ThreadId leader ACTCACHE_GUARDED_BY(mutex);
    std::uint64_t deadline_ns ACTCACHE_GUARDED_BY(mutex) = 0;
    std::uint64_t idle_window_ns ACTCACHE_GUARDED_BY(mutex) = 0;
    Condition ended;
  };

  // Claims of keys with equal leading bits, dead ones included, in no order.
  struct alignas(64) Stripe {
    Mutex mutex;
    std::array<FlightToken, kStripeKeys> flights ACTCACHE_GUARDED_BY(mutex){};
    std::array<Key, kStripeKeys> keys ACTCACHE_GUARDED_BY(mutex){};
  };

  Flight& FlightOf(FlightToken token) noexcept { return flights_[token % kFlights]; }
  const Flight& FlightOf(FlightToken token) const noexcept { return flights_[token % kFlights]; }
  Stripe& StripeOf(const Key& key) noexcept { return stripes_[key.words[1] % kStripes]; }

  void EndLocked(Flight* flight) noexcept ACTCACHE_REQUIRES(flight->mutex);

  std::atomic<FlightToken> last_token_{kNoFlight};
  std::atomic<std::uint64_t> ended_{0};
  std::array<Flight, kFlights> flights_;
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace actcache

#endif  // ACTCACHE_FLIGHT_FLIGHT_TABLE_H_
