#include "flight/open_flights.h"

#include "base/clock.h"

namespace actcache {

OpenFlights& OpenFlights::OfThisThread() noexcept {
  static thread_local OpenFlights flights;
  return flights;
}

void OpenFlights::EndPast(const void* node) noexcept {
  FlightTable& table = FlightTable::Process();
  const std::uint64_t now = SteadyNow();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const Open open = flights_[i];
    if (open.node == node || now >= open.deadline_ns) table.End(open.flight);
    if (table.Lives(open.flight)) flights_[kept++] = open;
  }
  count_ = kept;
}

void OpenFlights::EndAll() noexcept {
  for (std::size_t i = 0; i < count_; ++i) FlightTable::Process().End(flights_[i].flight);
  count_ = 0;
}

}  // namespace actcache
