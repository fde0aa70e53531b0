// Masks that callers hand in, of which a proof believes what the operators check in every call.
#ifndef ACTCACHE_UNITS_BINARY_MASKS_H_
#define ACTCACHE_UNITS_BINARY_MASKS_H_

#include <cstddef>
#include <cstdint>

#include "units/tensor_view.h"

namespace actcache {

// How far a mask has to be open.
enum class MaskOpen : std::uint8_t {
  kFirst,  // all elements are 0 or 1, and those at position 0 are 1; -0.0 is not 0
  kAll,    // all elements are 1
};

// REQUIRES: the tensor has the axis, that of its positions.
bool IsOpenMask(const TensorView& mask, std::size_t axis, MaskOpen open);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_BINARY_MASKS_H_
