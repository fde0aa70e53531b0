#include "store/simulation.h"

#include <utility>

namespace actcache {
namespace {

// splitmix64: real keys come from a hash, so these are spread over all bits too.
std::uint64_t Mix(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

Key Simulation::KeyOf(std::uint32_t region, std::uint64_t key) noexcept {
  return Key{{Mix(key + Mix(region)), Mix(~key ^ region)}};
}

Simulation::Outcome Simulation::Touch(const Request& request) noexcept {
  const Key key = KeyOf(request.region, request.key);
  if (store_.Find(key, FindLimits{kNow})) return Outcome::kHit;
  constexpr std::int32_t kUint8 = 2;
  const TensorSpec spec{kUint8, {}, request.bytes};
  Offer offer{};
  offer.key = key;
  offer.specs = &spec;
  offer.count = 1;
  offer.cost_ns = request.saving_ns;
  offer.now_ns = kNow;
  offer.payloads = false;
  Draft draft = store_.Reserve(offer);
  if (draft) {
    store_.Publish(std::move(draft));
  } else if (draft.rejection() == Rejection::kNoMemory) {
    return Outcome::kNoMemory;
  }
  return Outcome::kMiss;
}

}  // namespace actcache
