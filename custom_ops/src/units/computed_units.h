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

  // Copies `count` units; live-out i of unit(n) goes to target(n, i), a std::byte* with room for
  // specs()[i].bytes.
  template <typename Unit, typename Target>
  void CopyTo(std::size_t count, const Unit& unit, const Target& target,
              const Parallel& parallel) const {
    const std::size_t parts = specs_.size();
    CopyUnits(
        parallel, count * parts, count * unit_bytes(), most_,
        [&](std::size_t number) {
          const std::size_t i = number % parts;
          return ConstUnit{computed_[i].data, windows_[i], unit(number / parts)};
        },
        [&](std::size_t number) {
          const std::size_t i = number % parts;
          return MutableUnit{target(number / parts, i), windows_[i].Dense(), 0};
        });
  }
  // How far a unit is from an entry: RowComparison::difference() of the live-out that differs most;
  // infinite if a type or a shape differs.
  double DifferenceFrom(const Entry& entry, std::size_t unit) const;

 private:
  const std::vector<TensorView>& computed_;
  std::vector<TensorSpec> specs_;
  std::vector<Window> windows_;
  std::size_t most_ = 0;  // bytes of a unit's largest live-out
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_COMPUTED_UNITS_H_
