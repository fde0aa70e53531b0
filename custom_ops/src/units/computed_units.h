// The units of the live-outs that a region has computed, as entries hold them.
#ifndef ACTCACHE_UNITS_COMPUTED_UNITS_H_
#define ACTCACHE_UNITS_COMPUTED_UNITS_H_

#include <cstddef>
#include <vector>

#include "store/draft.h"
#include "store/entry.h"
#include "store/offer.h"
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

  // Copies one unit; target(i) is where live-out i of it goes, a std::byte* with room for
  // specs()[i].bytes.
  template <typename Target>
  void CopyTo(const Target& target, std::size_t unit, const Parallel& parallel) const {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      CopyUnits(
          parallel, 1, specs_[i].bytes,
          [&](std::size_t) { return ConstUnit{computed_[i].data, windows_[i], unit}; },
          [&](std::size_t) { return MutableUnit{target(i), windows_[i].Dense(), 0}; });
    }
  }
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
