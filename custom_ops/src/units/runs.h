// Copies of neighbours along an axis: what was found and what is computed, one behind the other.
#ifndef ACTCACHE_UNITS_RUNS_H_
#define ACTCACHE_UNITS_RUNS_H_

#include <algorithm>
#include <cstddef>

#include "units/cut.h"
#include "units/parallel.h"
#include "units/window.h"

namespace actcache {

inline std::size_t CountOf(const Runs& runs) {
  std::size_t count = 0;
  for (const Run& run : runs) count += run.count;
  return count;
}

// Without data: its runs are left out, as others copy them.
struct RunSource {
  const std::byte* data = nullptr;
  Window window = {};
};

// Copies runs into a tensor that has room for CountOf(runs). REQUIRES: windows of single
// neighbours (UnitAxis::In()), equal but for their number; byte rows. May throw std::bad_alloc.
inline void CopyRuns(const Parallel& parallel, const Runs& runs, const RunSource& found,
                     const RunSource& computed, std::byte* to, const Window& target) {
  const auto source_of = [&](const Run& run) { return run.found ? found : computed; };
  Runs copied;
  SmallVector<std::size_t, 4> begins;
  std::size_t begin = 0;
  std::size_t longest = 0;
  for (const Run& run : runs) {
    if (source_of(run).data != nullptr) {
      copied.push_back(run);
      begins.push_back(begin);
      longest = std::max(longest, run.count);
    }
    begin += run.count;
  }
  const std::size_t size = target.unit_bytes();
  CopyUnits(
      parallel, copied.size(), CountOf(copied) * size, longest * size,
      [&](std::size_t i) {
        const RunSource source = source_of(copied[i]);
        return ConstUnit{source.data + copied[i].from * source.window.unit_step,
                         source.window.Run(copied[i].count), 0};
      },
      [&](std::size_t i) {
        return MutableUnit{to + begins[i] * target.unit_step, target.Run(copied[i].count), 0};
      });
}

}  // namespace actcache

#endif  // ACTCACHE_UNITS_RUNS_H_
