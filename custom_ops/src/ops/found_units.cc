#include "ops/found_units.h"

#include <algorithm>

namespace actcache {

void CopyFound(const Parallel& parallel, const std::vector<EntryRef>& entries,
               const RowSource* sources, std::size_t units, const FoundTargets& targets) {
  if (entries.empty()) return;
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
  CopyUnits(
      parallel, targets.size() * units, unit_bytes * units, most,
      [&](std::size_t number) {
        const FoundTarget& target = targets[number / units];
        const std::size_t unit = number % units;
        const std::size_t entry = sources == nullptr ? unit : sources[unit].index();
        const void* const data = payloads[entry * tensors + target.live_out];
        return ConstUnit{static_cast<const std::byte*>(data), target.window.Dense(), 0};
      },
      [&](std::size_t number) {
        const FoundTarget& target = targets[number / units];
        return MutableUnit{target.data, target.window, number % units};
      });
}

}  // namespace actcache
