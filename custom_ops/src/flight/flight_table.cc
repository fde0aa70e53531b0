#include "flight/flight_table.h"

#include <algorithm>

#include "base/clock.h"
#include "base/process_object.h"

namespace actcache {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;

ProcessObject<FlightTable>& ProcessTable() noexcept {
  static ProcessObject<FlightTable> table;
  return table;
}

}  // namespace

FlightTable& FlightTable::Process() noexcept { return ProcessTable().get(); }
void FlightTable::ReplaceInForkedChild() noexcept { ProcessTable().Replace(); }

FlightToken FlightTable::Start(std::uint64_t now_ns, std::uint64_t expected_ns) noexcept {
  for (int attempt = 0; attempt < kStartAttempts; ++attempt) {
    const FlightToken token = last_token_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (token == kNoFlight) continue;
    Flight& flight = FlightOf(token);
    const MutexLock lock(&flight.mutex);
    if (flight.token.load(std::memory_order_relaxed) != kNoFlight) {
      if (now_ns < flight.deadline_ns) continue;
      EndLocked(&flight);  // its leader is gone, and nobody has waited for it
    }
    flight.leader = CurrentThread();
    flight.deadline_ns = now_ns + WaitLimit(expected_ns);
    flight.idle_window_ns = std::max(2 * kMillisecond, expected_ns / 4);
    flight.token.store(token, std::memory_order_release);
    return token;
  }
  return kNoFlight;
}

FlightTable::Claim FlightTable::TryClaim(const Key& key, FlightToken flight) noexcept {
  Stripe& stripe = StripeOf(key);
  const MutexLock lock(&stripe.mutex);
  std::size_t room = kStripeKeys;
  for (std::size_t i = 0; i < kStripeKeys; ++i) {
    const FlightToken holder = stripe.flights[i];
    const bool lives = Lives(holder);
    if (lives && stripe.keys[i] == key) return {Outcome::kForeign, holder};
    if (!lives) room = i;
  }
  if (room == kStripeKeys) return {Outcome::kNoRoom, kNoFlight};
  stripe.flights[room] = flight;
  stripe.keys[room] = key;
  return {Outcome::kClaimed, kNoFlight};
}

void FlightTable::End(FlightToken token) noexcept {
  if (!Lives(token)) return;
  Flight& flight = FlightOf(token);
  const MutexLock lock(&flight.mutex);
  if (flight.token.load(std::memory_order_relaxed) == token) EndLocked(&flight);
}

void FlightTable::EndLocked(Flight* flight) noexcept {
  // The count first: whoever finds a key free has to find the count changed too.
  ended_.fetch_add(1, std::memory_order_release);
  flight->token.store(kNoFlight, std::memory_order_release);
  flight->ended.NotifyAll();
}

void FlightTable::Wait(FlightToken token, std::uint64_t until_ns) noexcept {
  if (!Lives(token)) return;
  Flight& flight = FlightOf(token);
  const MutexLock lock(&flight.mutex);
  IdleWatch leader(flight.leader, flight.idle_window_ns);
  const std::uint64_t look_every_ns = flight.idle_window_ns / 2;
  while (flight.token.load(std::memory_order_relaxed) == token) {
    const std::uint64_t now = SteadyNow();
    if (now >= flight.deadline_ns || leader.Idle(now)) {
      EndLocked(&flight);
      return;
    }
    if (now >= until_ns) return;
    const std::uint64_t next = std::min({now + look_every_ns, until_ns, flight.deadline_ns});
    flight.ended.WaitFor(&flight.mutex, next - now);
  }
}

}  // namespace actcache
