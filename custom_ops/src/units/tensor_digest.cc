#include "units/tensor_digest.h"

#include <cstdint>
#include <string_view>

namespace actcache {
namespace {

// The machines that onnxruntime runs on are little-endian.
std::string_view Bytes(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

}  // namespace

Digest DigestOfTensor(const TensorView& tensor) noexcept {
  const auto number = static_cast<std::int64_t>(tensor.type);
  const std::string_view type = Bytes(&number, sizeof(number));
  const std::string_view dims =
      Bytes(tensor.dims.data(), tensor.dims.size() * sizeof(std::int64_t));
  if (!tensor.strings) return DigestOf({type, dims, Bytes(tensor.data, tensor.bytes)});
  static_assert(sizeof(std::size_t) == 8, "offsets are 8 bytes each");
  const StringContent& strings = *tensor.strings;
  return DigestOf({type, dims,
                   Bytes(strings.offsets.data(), strings.offsets.size() * sizeof(std::size_t)),
                   Bytes(strings.bytes.data(), strings.bytes.size())});
}

}  // namespace actcache
