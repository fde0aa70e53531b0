// Masks that callers hand in, of which a proof believes what the operators check in every call.
#ifndef ACTCACHE_UNITS_BINARY_MASKS_H_
#define ACTCACHE_UNITS_BINARY_MASKS_H_

#include <cstddef>

#include "units/tensor_view.h"

namespace actcache {

// Whether all elements are 0 or 1, and those at position 0 along `axis` are 1. -0.0 is not 0.
// REQUIRES: the tensor has that axis.
bool IsBinaryMask(const TensorView& mask, std::size_t axis);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_BINARY_MASKS_H_
