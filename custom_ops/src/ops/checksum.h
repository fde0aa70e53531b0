// Checksums of weights that a branch computes anew when a model is loaded. onnxruntime computes
// them from the model file's weights, with operators; here they are computed from what the session
// has, and CacheStore compares (passes/rewrite/checksums.py shows the operators).
#ifndef ACTCACHE_OPS_CHECKSUM_H_
#define ACTCACHE_OPS_CHECKSUM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "units/tensor_view.h"

namespace actcache {

// Which constant a checksum is of, and the three axes that its elements are seen in.
struct Checksum {
  std::int64_t constant;
  std::array<std::size_t, 3> sizes;
};

// Whether `loaded`, which onnxruntime has computed of the values that a branch has, is the checksum
// of `tensor`. False if the type has no checksum, or `sizes` do not fit.
bool IsChecksumOf(const TensorView& loaded, const TensorView& tensor,
                  const std::array<std::size_t, 3>& sizes);

}  // namespace actcache

#endif  // ACTCACHE_OPS_CHECKSUM_H_
