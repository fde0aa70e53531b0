#include "ops/weight_sample.h"

#include <cstring>

#include "units/tensor_digest.h"

namespace actcache {
namespace {

// No sums or products, which might overflow.
bool Inside(const WeightSample& sample, std::size_t count, std::size_t elements) {
  if (count == 0 || sample.first >= elements) return false;
  return count == 1 || sample.stride <= (elements - 1 - sample.first) / (count - 1);
}

bool Equal(const WeightSample& sample, const TensorView& loaded, const TensorView& weight) {
  if (loaded.type != weight.type || loaded.strings || weight.strings) return false;
  if (!Inside(sample, loaded.elements, weight.elements)) return false;
  const std::size_t size = weight.bytes / weight.elements;
  for (std::size_t i = 0; i < loaded.elements; ++i) {
    const std::byte* const here = weight.data + (sample.first + i * sample.stride) * size;
    if (std::memcmp(loaded.data + i * size, here, size) != 0) return false;
  }
  return true;
}

Digest DigestOfSample(TensorView loaded) {
  loaded.dims = Dims{static_cast<std::int64_t>(loaded.elements)};
  return DigestOfTensor(loaded);
}

}  // namespace

WeightOrigin OriginOf(const WeightSample& sample, const TensorView& loaded,
                      const TensorView& weight, const Digest& digest) {
  if (!Equal(sample, loaded, weight)) return WeightOrigin::kTooLate;
  if (digest == sample.weight) return WeightOrigin::kLoaded;
  return DigestOfSample(loaded) == sample.sample ? WeightOrigin::kUnclear : WeightOrigin::kLoaded;
}

}  // namespace actcache
