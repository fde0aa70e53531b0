#include "flight/single_flight.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace actcache {

bool SingleFlight::SearchAgain(const Key* keys, const std::uint8_t* flags, std::size_t count,
                               std::uint8_t skipped) noexcept {
  const auto wanted = static_cast<std::size_t>(std::count_if(
      flags, flags + count, [=](std::uint8_t bits) { return (bits & skipped) == 0; }));
  if (wanted == 0) EndFlight();  // all of it was stored between the search and the claims
  if (wanted == 0 || decided_ || open_.full()) return false;

  const std::uint64_t now = SteadyNow();
  const std::uint64_t expected = time_.Expected(wanted);
  flight_ = table_.Start(now, expected);
  if (flight_ == kNoFlight) return false;
  deadline_ns_ = now + WaitLimit(expected);

  const bool may_wait = open_.empty() && (patience_end_ns_ == 0 || now < patience_end_ns_);
  const FlightToken holder = Claim(keys, flags, count, skipped, /*whatever_is_free=*/!may_wait);
  if (holder == kNoFlight || !may_wait) {
    decided_ = true;
    return table_.ended() != ended_before_;
  }
  EndFlight();
  if (patience_end_ns_ == 0) patience_end_ns_ = deadline_ns_;
  table_.Wait(holder, patience_end_ns_);
  return true;
}

FlightToken SingleFlight::Claim(const Key* keys, const std::uint8_t* flags, std::size_t count,
                                std::uint8_t skipped, bool whatever_is_free) noexcept {
  FlightToken holder = kNoFlight;
  for (std::size_t i = 0; i < count; ++i) {
    if ((flags[i] & skipped) != 0) continue;
    const FlightTable::Claim claim = table_.TryClaim(keys[i], flight_);
    if (claim.outcome == FlightTable::Outcome::kClaimed) ++claims_;
    if (claim.outcome != FlightTable::Outcome::kForeign) continue;
    holder = claim.holder;
    if (!whatever_is_free) break;
  }
  return holder;
}

void SingleFlight::EndFlight() noexcept {
  table_.End(std::exchange(flight_, kNoFlight));
  claims_ = 0;
}

FlightToken SingleFlight::HandOver() noexcept {
  if (claims_ == 0) EndFlight();
  if (flight_ != kNoFlight) open_.Add(flight_, node_, deadline_ns_);
  claims_ = 0;
  return std::exchange(flight_, kNoFlight);
}

}  // namespace actcache
