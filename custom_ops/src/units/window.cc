#include "units/window.h"

namespace actcache {
namespace {

std::size_t Product(const Dims& dims, std::size_t begin, std::size_t end) {
  std::size_t product = 1;
  for (std::size_t i = begin; i < end; ++i) product *= static_cast<std::size_t>(dims[i]);
  return product;
}

}  // namespace

// With the axes between them taken together, the tensor is [outer, first, between, second, inner],
// where the rows are either the first axis or the second.
Window Window::InRows(const Dims& dims, std::size_t row_axis, std::size_t axis, std::size_t element,
                      std::size_t extent) {
  const auto rows = static_cast<std::size_t>(dims[row_axis]);
  // A single row is no second axis: more of it lies together.
  if (rows == 1) return Along(dims, axis, element, extent);
  const auto size = static_cast<std::size_t>(dims[axis]);
  const std::size_t outer = Product(dims, 0, std::min(row_axis, axis));
  const std::size_t between = Product(dims, std::min(row_axis, axis) + 1, std::max(row_axis, axis));
  const std::size_t inner = element * Product(dims, std::max(row_axis, axis) + 1, dims.size());
  const std::size_t per_row = size / extent;
  const std::size_t outer_step = rows * between * size * inner;
  std::size_t row_step;
  std::size_t per_outer;  // chunks of a unit
  Window window;
  window.units = rows * per_row;
  if (row_axis < axis) {
    per_outer = between;
    window.chunk = window.unit_step = extent * inner;
    window.chunk_step = size * inner;
    row_step = between * size * inner;
  } else {
    per_outer = extent * between;
    window.chunk = row_step = inner;
    window.chunk_step = rows * inner;
    window.unit_step = per_outer * window.chunk_step;
  }
  window.chunks = outer * per_outer;
  if (outer > 1) window.chunk_jumps = {per_outer, outer_step - per_outer * window.chunk_step};
  if (per_row > 0) window.unit_jumps = {per_row, row_step - per_row * window.unit_step};
  return window;
}

}  // namespace actcache
