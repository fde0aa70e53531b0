#include "host/select.h"

#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/knobs.h"

namespace actcache {
namespace {

// What a message lists: names are as long as a model's author likes.
constexpr std::size_t kListed = 8;
constexpr std::size_t kLongestList = 800;

std::uint64_t Nanoseconds(double seconds) {
  if (std::isnan(seconds) || seconds < 0) {
    throw std::invalid_argument("actcache: the age must be a number of seconds, 0 or more");
  }
  constexpr double kLonger = 9e9;  // than any process lives, and its nanoseconds fit
  return static_cast<std::uint64_t>(std::fmin(seconds, kLonger) * 1e9);
}

bool Matches(const char* wanted, const std::string& value) {
  return wanted == nullptr || value == wanted;
}

// Throws if no region has this name. A name that was never there is a mistake of the caller:
// answering 0, as for a region that holds nothing, would let stale entries live on.
void CheckKnown(const std::vector<const Region*>& regions, const char* what, const char* wanted,
                const std::string Region::* name) {
  if (wanted == nullptr) return;
  std::set<std::string> known;
  for (const Region* region : regions) known.insert(region->*name);
  if (known.count(wanted) != 0) return;
  std::string text = "actcache: no session of this process has had a " + std::string(what) + " \"" +
                     wanted + "\"; ";
  if (known.empty()) throw std::invalid_argument(text + "it has had no compiled model yet");
  text += "known are ";
  std::size_t listed = 0;
  for (const std::string& one : known) {
    if (listed == kListed || text.size() + one.size() > kLongestList) break;
    text += (listed++ == 0 ? "" : ", ") + one;
  }
  if (listed == 0) text += "those that the statistics list";
  if (listed > 0 && listed < known.size()) {
    text += " and " + std::to_string(known.size() - listed) + " more, which the statistics list";
  }
  throw std::invalid_argument(text);
}

}  // namespace

std::optional<Selection> Select(const Registry& registry, const Selectors& selectors) {
  Selection selection;
  const std::uint64_t age = Nanoseconds(selectors.min_age_seconds);
  if (age > 0) selection.min_age_ns = age;
  const std::vector<const Region*> regions = registry.Regions();
  CheckKnown(regions, "region", selectors.region, &Region::id);
  CheckKnown(regions, "region of fingerprint", selectors.fingerprint, &Region::fingerprint);
  if (selectors.name_space != nullptr) {
    if (std::strlen(selectors.name_space) > kMaxNamespaceBytes) {
      throw std::invalid_argument("actcache: a namespace has at most " +
                                  std::to_string(kMaxNamespaceBytes) + " bytes");
    }
    selection.name_space = registry.FindNamespace(selectors.name_space);
    if (!selection.name_space) return std::nullopt;
  }
  if (selectors.region != nullptr || selectors.fingerprint != nullptr) {
    for (const Region* region : regions) {
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
