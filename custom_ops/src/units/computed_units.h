// The units of the live-outs that a region has computed, as entries hold them.
#ifndef ACTCACHE_UNITS_COMPUTED_UNITS_H_
#define ACTCACHE_UNITS_COMPUTED_UNITS_H_

#include <cstddef>
#include <vector>

#include "store/candidate.h"
#include "store/draft.h"
#include "store/entry.h"
#include "units/cut.h"
#include "units/parallel.h"
#include "units/tensor_view.h"
#include "units/window.h"

namespace actcache {

// Of one call. Refers to the tensors it is given.
class ComputedUnits {
 public:
  // `computed`: the live-outs, in shapes that `cut` can divide. May throw std::bad_alloc.
  ComputedUnits(const Cut& cut, const std::vector<TensorView>& computed);

  // Types and shapes of one unit, whichever it is.
  const std::vector<TensorSpec>& specs() const { return specs_; }
  // Of one unit, all live-outs together.
  std::size_t unit_bytes() const;

  // Fills a draft that was reserved for specs() with one unit.
  void CopyTo(Draft* draft, std::size_t unit, const Parallel& parallel) const;
  // How far a unit is from an entry: RowComparison::difference() of the live-out that differs most;
  // infinite if a type or a shape differs.
  double DifferenceFrom(const Entry& entry, std::size_t unit) const;

 private:
  const std::vector<TensorView>& computed_;
  std::vector<TensorSpec> specs_;
  std::vector<Window> windows_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_COMPUTED_UNITS_H_
