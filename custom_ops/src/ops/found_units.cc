#include "ops/found_units.h"

#include <algorithm>

namespace actcache {

FoundPlaces InOrder(std::size_t count) {
  FoundPlaces places;
  places.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) places.push_back({i, i});
  return places;
}

FoundPlaces PlacesOf(const Sources& sources) {
  FoundPlaces places;
  places.reserve(sources.size());
  for (std::uint32_t unit = 0; unit < sources.size(); ++unit) {
    places.push_back({static_cast<std::uint32_t>(sources[unit].index()), unit});
  }
  return places;
}

void CopyFound(const Parallel& parallel, const std::vector<EntryRef>& entries,
               const FoundPlaces& places, const FoundTargets& targets) {
  if (entries.empty() || targets.empty()) return;
  const std::size_t tensors = entries.front()->tensor_count();
  // Where tensor i of entry n is: number n * tensors + i.
  SmallVector<const void*, 64> payloads(entries.size() * tensors);
  for (std::size_t n = 0; n < entries.size(); ++n) {
    entries[n]->AllData(payloads.data() + n * tensors);
  }
  std::size_t unit_bytes = 0;
  std::size_t most = 0;
  for (const FoundTarget& target : targets) {
    unit_bytes += target.window.unit_bytes();
    most = std::max(most, target.window.unit_bytes());
  }
  const std::size_t units = places.size();
  CopyUnits(
      parallel, targets.size() * units, unit_bytes * units, most,
      [&](std::size_t number) {
        const FoundTarget& target = targets[number / units];
        const std::size_t entry = places[number % units].entry;
        const void* const data = payloads[entry * tensors + target.live_out];
        return ConstUnit{static_cast<const std::byte*>(data), target.window.Dense(), 0};
      },
      [&](std::size_t number) {
        const FoundTarget& target = targets[number / units];
        return MutableUnit{target.data, target.window, places[number % units].unit};
      });
}

}  // namespace actcache
