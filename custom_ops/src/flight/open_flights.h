// The flights that a thread leads: what one Run has claimed and not stored yet.
//
// onnxruntime says nothing when a Run ends between a lookup and its store: terminated, or a node of
// the region failed. So a thread ends the flights of Runs that must be over
//   - when the lookup of the same node begins on it again (between the two, the node's store would
//     have run);
//   - at a flight's deadline;
//   - when the thread ends;
//   - when the host program says so (actcache_abandon).
// What remains are waiters that find the thread idle (flight_table.h).
//
// With onnxruntime's parallel executor the store may run on another thread; then the flight ends
// there, and is forgotten here at the next lookup.
#ifndef ACTCACHE_FLIGHT_OPEN_FLIGHTS_H_
#define ACTCACHE_FLIGHT_OPEN_FLIGHTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "flight/flight_table.h"

namespace actcache {

// Of one thread and for it alone. Never allocates, never throws.
class OpenFlights {
 public:
  OpenFlights() = default;
  ~OpenFlights() { EndAll(); }
  OpenFlights(const OpenFlights&) = delete;
  OpenFlights& operator=(const OpenFlights&) = delete;

  static OpenFlights& OfThisThread() noexcept;

  // To be called when a lookup begins. `node` identifies the node in its session.
  void BeginLookup(const void* node) noexcept {
    if (count_ != 0) EndPast(node);
  }

  // As of the last BeginLookup(): whether the thread leads a flight.
  bool empty() const noexcept { return count_ == 0; }
  bool full() const noexcept { return count_ == kMost; }

  // REQUIRES: !full().
  void Add(FlightToken flight, const void* node, std::uint64_t deadline_ns) noexcept {
    flights_[count_++] = {flight, node, deadline_ns};
  }

  void EndAll() noexcept;

 private:
  // Regions that one Run can have between lookup and store and that are each waited for.
  static constexpr std::size_t kMost = 32;

  struct Open {
    FlightToken flight;
    const void* node;
    std::uint64_t deadline_ns;
  };

  void EndPast(const void* node) noexcept;

  std::array<Open, kMost> flights_;
  std::size_t count_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_FLIGHT_OPEN_FLIGHTS_H_
