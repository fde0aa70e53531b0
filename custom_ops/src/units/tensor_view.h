// A tensor as the operators see it: type, shape and bytes, with nothing of onnxruntime in it.
#ifndef ACTCACHE_UNITS_TENSOR_VIEW_H_
#define ACTCACHE_UNITS_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "abi/onnxruntime_abi.h"
#include "base/small_vector.h"

namespace actcache {

using ort::ElementType;
using Dims = SmallVector<std::int64_t, 6>;

// Bits of one element; 0 for strings and for types this library does not know.
constexpr std::size_t ElementBits(ElementType type) {
  switch (type) {
    case ElementType::kUint4:
    case ElementType::kInt4:
      return 4;
    case ElementType::kUint8:
    case ElementType::kInt8:
    case ElementType::kBool:
    case ElementType::kFloat8E4M3FN:
    case ElementType::kFloat8E4M3FNUZ:
    case ElementType::kFloat8E5M2:
    case ElementType::kFloat8E5M2FNUZ:
      return 8;
    case ElementType::kUint16:
    case ElementType::kInt16:
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return 16;
    case ElementType::kFloat:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 32;
    case ElementType::kDouble:
    case ElementType::kInt64:
    case ElementType::kUint64:
    case ElementType::kComplex64:
      return 64;
    case ElementType::kComplex128:
      return 128;
    case ElementType::kUndefined:
    case ElementType::kString:
      break;
  }
  return 0;
}

// Whether rows of this type are whole bytes, so that one row can be copied without its neighbours.
constexpr bool HasByteRows(ElementType type) {
  return type == ElementType::kString || ElementBits(type) >= 8;
}

// The strings of a string tensor: string i is bytes [offsets[i], offsets[i + 1]).
struct StringContent {
  std::vector<char> bytes;
  std::vector<std::size_t> offsets;

  std::string_view at(std::size_t i) const {
    return {bytes.data() + offsets[i], offsets[i + 1] - offsets[i]};
  }
};

// Does not own `data`, which stays valid during the kernel call that made the view. Strings are
// copied out of the runtime, as it offers no view of them.
struct TensorView {
  ElementType type = ElementType::kUndefined;
  Dims dims;
  std::size_t elements = 0;
  std::size_t bytes = 0;            // 0 for strings
  const std::byte* data = nullptr;  // null for strings
  std::optional<StringContent> strings;
};

inline std::size_t ElementCount(const Dims& dims) {
  std::size_t count = 1;
  for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
  return count;
}

// Bytes of a dense tensor, rounded up to whole bytes.
inline std::size_t ByteCount(ElementType type, const Dims& dims) {
  return (ElementCount(dims) * ElementBits(type) + 7) / 8;
}

}  // namespace actcache

#endif  // ACTCACHE_UNITS_TENSOR_VIEW_H_
