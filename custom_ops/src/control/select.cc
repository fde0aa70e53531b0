#include "control/select.h"

#include <cmath>
#include <stdexcept>

namespace actcache {
namespace {

std::uint64_t Nanoseconds(double seconds) {
  if (std::isnan(seconds) || seconds < 0) {
    throw std::invalid_argument("actcache: an age has to be a number of seconds, 0 or more");
  }
  constexpr double kLonger = 9e9;  // than any process lives, and its nanoseconds fit
  return static_cast<std::uint64_t>(std::fmin(seconds, kLonger) * 1e9);
}

bool Matches(const char* wanted, const std::string& value) {
  return wanted == nullptr || value == wanted;
}

}  // namespace

std::optional<Selection> Select(const Registry& registry, const Selectors& selectors) {
  Selection selection;
  const std::uint64_t age = Nanoseconds(selectors.min_age_seconds);
  if (age > 0) selection.min_age_ns = age;
  if (selectors.name_space != nullptr) {
    selection.name_space = registry.FindNamespace(selectors.name_space);
    if (!selection.name_space) return std::nullopt;
  }
  if (selectors.region != nullptr || selectors.fingerprint != nullptr) {
    for (const Region* region : registry.Regions()) {
      if (Matches(selectors.region, region->id) &&
          Matches(selectors.fingerprint, region->fingerprint)) {
        selection.regions.push_back(region->number);
      }
    }
    if (selection.regions.empty()) return std::nullopt;
  }
  return selection;
}

}  // namespace actcache
