// Whether a result that was computed again is the one that was kept.
#ifndef ACTCACHE_UNITS_COMPARE_H_
#define ACTCACHE_UNITS_COMPARE_H_

#include <cstddef>

#include "units/tensor_view.h"

namespace actcache {

// Compares one tensor of a row, piece by piece. Floating-point elements may differ by a share of
// the kept tensor's largest finite magnitude; NaN equals NaN and an infinity itself. Elements of
// all other types have to be the same bytes.
class RowComparison {
 public:
  explicit RowComparison(ElementType type) : type_(type) {}

  // REQUIRES: whole elements; the pieces of a tensor in the same order on both sides.
  void Add(const std::byte* computed, const std::byte* kept, std::size_t bytes);

  // The largest difference, as a share of the largest magnitude; infinite where no tolerance
  // could cover it. 0 exactly when all elements are equal.
  double difference() const;

 private:
  template <typename Read>
  void AddFloats(const std::byte* computed, const std::byte* kept, std::size_t bytes,
                 std::size_t unit, const Read& read);

  ElementType type_;
  double largest_ = 0;     // of the kept magnitudes
  double difference_ = 0;  // absolute
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_COMPARE_H_
