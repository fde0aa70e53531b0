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
  // `computed`: the live-outs, in shapes that `cut` can divide. If it has ends, those behind the
  // first `divided` units of each row come first, unless that is 0; then those behind the last one.
  // May throw std::bad_alloc.
  ComputedUnits(const Cut& cut, const std::vector<TensorView>& computed, std::size_t divided = 0);

  std::size_t parts() const { return specs_.size(); }
  // Types and shapes of a unit: those of all are equal, but for ends.
  const std::vector<TensorSpec>& specs(std::size_t unit) const {
    return HasEnds(unit) ? specs_ : without_ends_;
  }
  // Of a unit, all live-outs together.
  std::size_t unit_bytes(std::size_t unit) const;

  // Copies `count` units; live-out i of unit(n) goes to target(n, i), a std::byte* with room for
  // specs()[i].bytes.
  template <typename Unit, typename Target>
  void CopyTo(std::size_t count, const Unit& unit, const Target& target,
              const Parallel& parallel) const {
    const std::size_t parts = this->parts();
    std::size_t bytes = 0;
    for (std::size_t n = 0; n < count; ++n) bytes += unit_bytes(unit(n));
    CopyUnits(
        parallel, count * parts, bytes, most_,
        [&](std::size_t number) { return PartOf(unit(number / parts), number % parts); },
        [&](std::size_t number) {
          const std::size_t n = number / parts;
          const std::size_t i = number % parts;
          return MutableUnit{target(n, i), PartOf(unit(n), i).window.Dense(), 0};
        });
  }
  // How far a unit is from an entry: RowComparison::difference() of the live-out that differs most;
  // infinite if a type or a shape differs.
  double DifferenceFrom(const Entry& entry, std::size_t unit) const;

 private:
  bool HasEnds(std::size_t unit) const {
    const std::size_t behind = unit % length_ + 1;
    return behind == length_ || behind == divided_;
  }
  ConstUnit PartOf(std::size_t unit, std::size_t i) const;

  const Cut& cut_;
  const std::vector<TensorView>& computed_;
  const std::size_t divided_;
  std::size_t length_ = 1;  // computed units of a row, if there are ends
  std::vector<TensorSpec> specs_;
  std::vector<TensorSpec> without_ends_;
  std::vector<Window> windows_;
  std::size_t most_ = 0;  // bytes of a unit's largest live-out
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_COMPUTED_UNITS_H_
