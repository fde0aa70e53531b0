// How the units of a call lie in one of its tensors: rows of a batch, blocks of positions in every
// row, or neither.
#ifndef ACTCACHE_UNITS_UNIT_PLACE_H_
#define ACTCACHE_UNITS_UNIT_PLACE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "units/tensor_view.h"
#include "units/unit_axis.h"
#include "units/window.h"

namespace actcache {

// Units in order: the `length` that follow each other in the first row, then those of the next.
// Rows that are units themselves are of length 1.
struct UnitGrid {
  std::size_t rows = 0;
  std::size_t length = 1;

  std::size_t count() const { return rows * length; }
};

class UnitPlace {
 public:
  // Units are the rows; -1: the tensor is not divided; all of it belongs to every unit.
  explicit UnitPlace(std::int64_t rows = -1) : rows_(rows), splice_(rows) {}
  // Units are blocks of `block` positions of a row. -1: the tensor has no rows, which are alike in
  // it then; no positions, all of which it belongs to.
  UnitPlace(std::int64_t rows, std::int64_t positions, std::size_t block)
      : rows_(rows), positions_(positions), splice_(positions), block_(block) {}
  // Likewise, but a tensor of a call has one position: what its computation ended with. Only the
  // last unit of each row has a part of it, that of every other unit is empty.
  static UnitPlace End(std::int64_t rows, std::int64_t positions) {
    UnitPlace place(rows, positions, 1);
    place.end_ = true;
    return place;
  }

  const UnitAxis& rows() const { return rows_; }
  const UnitAxis& positions() const { return positions_; }
  // Along which what was found and what is computed are put together: rows that are units, else
  // positions.
  const UnitAxis& splice() const { return splice_; }
  std::size_t block() const { return block_; }
  bool end() const { return end_; }
  bool divides() const { return rows_.divides() || positions_.divides(); }
  bool IsIn(std::size_t rank) const { return rows_.IsIn(rank) && positions_.IsIn(rank); }
  bool IsIn(const Dims& dims) const { return IsIn(dims.size()); }

  // Which of the tensor's own units is unit `unit` of a call of so many in a row.
  std::size_t Own(std::size_t unit, std::size_t length) const {
    if (!positions_.divides()) return rows_.divides() ? unit / length : 0;
    return rows_.divides() ? unit : unit % length;
  }

  // The shape of one unit, and that of a grid of them put together. REQUIRES: IsIn(dims); of a
  // unit's dims: IsUnit().
  Dims UnitDims(Dims dims) const {
    return rows_.UnitDims(positions_.WithUnits(std::move(dims), block_));
  }
  Dims Joined(Dims unit_dims, const UnitGrid& grid) const {
    return positions_.WithUnits(rows_.Joined(std::move(unit_dims), grid.rows),
                                grid.length * block_);
  }
  // The shape of a unit that has no part of an end.
  Dims WithoutEnd(Dims dims) const {
    return rows_.UnitDims(positions_.WithUnits(std::move(dims), 0));
  }
  // Whether this can be the shape of a unit.
  template <typename UnitDims>
  bool IsUnit(const UnitDims& unit_dims, std::size_t rank) const {
    if (!IsIn(rank + (rows_.divides() ? 1 : 0))) return false;
    if (!positions_.divides()) return true;
    std::int64_t axis = positions_.number();
    if (rows_.divides() && rows_.number() < axis) --axis;
    for (const std::int64_t dim : unit_dims) {
      if (axis-- == 0) return dim == static_cast<std::int64_t>(block_) || (end_ && dim == 0);
    }
    return false;
  }

  // Where the units lie; positions behind the last whole block are in none. REQUIRES: IsIn(dims),
  // byte rows (HasByteRows) if an axis divides.
  Window In(ElementType type, const Dims& dims) const {
    if (!positions_.divides()) return rows_.In(type, dims);
    const std::size_t element = type == ElementType::kString ? 1 : ElementBits(type) / 8;
    const auto axis = static_cast<std::size_t>(positions_.number());
    if (!rows_.divides()) return Window::Along(dims, axis, element, block_);
    return Window::InRows(dims, static_cast<std::size_t>(rows_.number()), axis, element, block_);
  }
  Window In(const TensorView& tensor) const { return In(tensor.type, tensor.dims); }

 private:
  UnitAxis rows_;
  UnitAxis positions_;
  UnitAxis splice_;
  std::size_t block_ = 1;
  bool end_ = false;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_UNIT_PLACE_H_
