// Whether a branch computes with the weight that its session has.
//
// A weight that stands in the main graph is brought into a branch when the model is loaded
// (passes/rewrite/placement.py), and SessionOptions.add_initializer replaces the original after
// that. So onnxruntime takes a sample of what the branch has at the same time, and CacheStore,
// which has the sample as an input, compares it with what the session has. Together with what the
// weight was when the model was compiled, it tells who replaced what: the sample is of what was
// compiled, or of what the session has. Nobody who replaces nothing pays for more than the sample.
#ifndef ACTCACHE_OPS_WEIGHT_SAMPLE_H_
#define ACTCACHE_OPS_WEIGHT_SAMPLE_H_

#include <cstddef>
#include <cstdint>

#include "hash/digest.h"
#include "units/tensor_view.h"

namespace actcache {

// One sample: the elements first, first + stride, ... of a constant. There are as many as the
// sample that onnxruntime took has.
struct WeightSample {
  std::int64_t constant;  // its number
  std::size_t first;
  std::size_t stride;
  Digest weight;  // when the model was compiled: of all of it,
  Digest sample;  // and of these elements (both as DigestOfTensor(); the sample is a list)
};

enum class WeightOrigin {
  kLoaded,   // the session has what the branch was given when the model was loaded
  kTooLate,  // the session has another
  kUnclear,  // another than was compiled; the sample does not show whether the branch has it, too
};

// `loaded` is what onnxruntime took of the branch's weight; `weight` what the session has, and
// `digest` its DigestOfTensor().
WeightOrigin OriginOf(const WeightSample& sample, const TensorView& loaded,
                      const TensorView& weight, const Digest& digest);

}  // namespace actcache

#endif  // ACTCACHE_OPS_WEIGHT_SAMPLE_H_
