// What a row of a region costs, to compute and to reuse, by the size of its inputs.
#ifndef ACTCACHE_POLICY_ROW_COSTS_H_
#define ACTCACHE_POLICY_ROW_COSTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "policy/recent_median.h"

namespace actcache {

// Rows of about equal size: a class spans a quarter of an octave of input bytes. Sizes 16 octaves
// apart share one.
using ShapeClass = std::uint8_t;
inline constexpr std::size_t kShapeClasses = 64;

constexpr ShapeClass ShapeClassOf(std::size_t row_bytes) noexcept {
  std::size_t octave = 0;
  std::size_t top = row_bytes;  // ends as the three leading bits, or all of them
  for (; top >= 8; top /= 2) ++octave;
  return static_cast<ShapeClass>((4 * octave + top) % kShapeClasses);
}

// Nanoseconds per row.
struct RowCosts {
  RecentMedian recompute;  // from the lookup's end to the store's start
  RecentMedian lookup;     // hashing a row and looking for its key
  RecentMedian fetch;      // copying a found row
  RecentMedian publish;    // making an entry of a computed row

  // Until a row has been found, copying one into the store stands for copying one out of it.
  double fetch_estimate() const noexcept {
    return fetch.count() > 0 ? fetch.value() : publish.value();
  }
  // Measured often enough to be judged by.
  bool known() const noexcept {
    return recompute.count() == RecentMedian::kSamples && lookup.count() > 0 && publish.count() > 0;
  }
  // What a hit saves; negative where it costs more than recomputing.
  double saving() const noexcept { return recompute.value() - lookup.value() - fetch_estimate(); }
};

// Those of each class, and of all of them together for a class that has not been measured. 7 KiB.
class RowCostTable {
 public:
  RowCosts& of(ShapeClass shape) noexcept { return classes_[shape]; }
  const RowCosts& of(ShapeClass shape) const noexcept { return classes_[shape]; }

  const RowCosts& all() const noexcept { return all_; }

  // As of(), or the costs of rows of any size where those of this one are not known().
  const RowCosts& estimate(ShapeClass shape) const noexcept {
    return classes_[shape].known() ? classes_[shape] : all_;
  }

  // Adds a sample to the class and to all rows'.
  void Add(ShapeClass shape, RecentMedian RowCosts::* cost, double ns_per_row) noexcept {
    (classes_[shape].*cost).Add(ns_per_row);
    (all_.*cost).Add(ns_per_row);
  }

  // Whether a hit costs more than recomputing in every class seen so far, each measured enough.
  bool HitsNeverPay() const noexcept {
    bool any = false;
    for (const RowCosts& costs : classes_) {
      if (costs.recompute.count() == 0) continue;
      if (!costs.known() || costs.saving() > 0) return false;
      any = true;
    }
    return any;
  }

 private:
  std::array<RowCosts, kShapeClasses> classes_;
  RowCosts all_;
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_ROW_COSTS_H_
