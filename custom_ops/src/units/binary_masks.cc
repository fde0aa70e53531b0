#include "units/binary_masks.h"

#include <cstring>

namespace actcache {
namespace {

// Elements as whole numbers of their size; 0 is all zero bits in every type.
template <typename Bits>
bool IsOpen(const TensorView& mask, std::size_t inner, std::size_t positions, Bits one) {
  for (std::size_t i = 0; i < mask.elements; ++i) {
    Bits element;
    std::memcpy(&element, mask.data + i * sizeof(Bits), sizeof(Bits));
    if (element == one) continue;
    const bool first = i / inner % positions == 0;
    if (element != 0 || first) return false;
  }
  return true;
}

}  // namespace

bool IsOpenMask(const TensorView& mask, std::size_t axis, MaskOpen open) {
  if (mask.elements == 0) return true;
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < mask.dims.size(); ++i) {
    inner *= static_cast<std::size_t>(mask.dims[i]);
  }
  // Where each position counts as the first one, none may be closed.
  const auto positions = open == MaskOpen::kAll ? 1 : static_cast<std::size_t>(mask.dims[axis]);
  switch (mask.type) {
    case ElementType::kBool:
    case ElementType::kInt8:
    case ElementType::kUint8:
      return IsOpen<std::uint8_t>(mask, inner, positions, 1);
    case ElementType::kInt16:
    case ElementType::kUint16:
      return IsOpen<std::uint16_t>(mask, inner, positions, 1);
    case ElementType::kFloat16:
      return IsOpen<std::uint16_t>(mask, inner, positions, 0x3c00);
    case ElementType::kBfloat16:
      return IsOpen<std::uint16_t>(mask, inner, positions, 0x3f80);
    case ElementType::kInt32:
    case ElementType::kUint32:
      return IsOpen<std::uint32_t>(mask, inner, positions, 1);
    case ElementType::kFloat:
      return IsOpen<std::uint32_t>(mask, inner, positions, 0x3f800000);
    case ElementType::kInt64:
    case ElementType::kUint64:
      return IsOpen<std::uint64_t>(mask, inner, positions, 1);
    case ElementType::kDouble:
      return IsOpen<std::uint64_t>(mask, inner, positions, 0x3ff0000000000000);
    default:
      return false;
  }
}

}  // namespace actcache
