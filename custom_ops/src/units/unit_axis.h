// How the units of a call lie in one of its tensors: along which axis they follow each other.
#ifndef ACTCACHE_UNITS_UNIT_AXIS_H_
#define ACTCACHE_UNITS_UNIT_AXIS_H_

#include <cstddef>
#include <cstdint>

#include "units/tensor_view.h"
#include "units/window.h"

namespace actcache {

class UnitAxis {
 public:
  // -1: the tensor is not divided; all of it belongs to every unit.
  explicit UnitAxis(std::int64_t axis) : axis_(axis) {}
  UnitAxis() : UnitAxis(-1) {}

  std::int64_t number() const { return axis_; }
  bool divides() const { return axis_ >= 0; }
  // Whether a tensor of so many axes has this one.
  bool IsIn(std::size_t rank) const { return axis_ < static_cast<std::int64_t>(rank); }
  bool IsIn(const Dims& dims) const { return IsIn(dims.size()); }

  // REQUIRES, for what follows: IsIn(dims).
  std::size_t UnitsIn(const Dims& dims) const {
    return divides() ? static_cast<std::size_t>(dims[at()]) : 1;
  }
  // The shape with another number of units.
  Dims WithUnits(Dims dims, std::size_t units) const {
    if (divides()) dims[at()] = static_cast<std::int64_t>(units);
    return dims;
  }
  // The shape of one unit, and that of `units` of them put together.
  Dims UnitDims(Dims dims) const {
    if (divides()) dims.erase(at());
    return dims;
  }
  Dims Joined(Dims unit_dims, std::size_t units) const {
    if (divides()) unit_dims.insert(at(), static_cast<std::int64_t>(units));
    return unit_dims;
  }

  // Where the units lie. REQUIRES: byte rows (HasByteRows) if the axis divides.
  Window In(ElementType type, const Dims& dims) const {
    const bool strings = type == ElementType::kString;
    if (!divides()) return Window::Whole(strings ? ElementCount(dims) : ByteCount(type, dims));
    return Window::Along(dims, at(), strings ? 1 : ElementBits(type) / 8);
  }
  Window In(const TensorView& tensor) const { return In(tensor.type, tensor.dims); }

 private:
  std::size_t at() const { return static_cast<std::size_t>(axis_); }

  std::int64_t axis_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_UNIT_AXIS_H_
