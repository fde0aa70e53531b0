#include "region/logged_calls.h"

#include "base/clock.h"
#include "region/registry.h"
#include "store/tick.h"

namespace actcache {
namespace {

// What the times of all recorded calls count from; 0 before the first. A multiple of a tick, so
// that times which were of one tick still are.
std::atomic<std::uint64_t> beginning_ns{0};

std::uint64_t Beginning() {
  std::uint64_t beginning = 0;
  const std::uint64_t now = SteadyNow() >> kTickBits << kTickBits;
  return beginning_ns.compare_exchange_strong(beginning, now) ? now : beginning;
}

}  // namespace

bool AppendLogged(Registry& registry, const std::string& id, const std::string& fingerprint,
                  LoggedCall call) {
  call.lookup_ns += Beginning();
  call.store_ns += Beginning();
  return registry.AppendLogged(id, fingerprint, call);
}

}  // namespace actcache
