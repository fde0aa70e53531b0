#include "ops/lookup_outputs.h"

#include "units/computed_rows.h"
#include "units/row_layout.h"

namespace actcache {
namespace {

std::size_t Unit(ElementType type) {
  return type == ElementType::kString ? 1 : ElementBits(type) / 8;
}

Dims WithRows(Dims dims, std::int64_t axis, std::size_t rows) {
  dims[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(rows);
  return dims;
}

// Rows `rows` of a string tensor, in that order.
void CopyStringRows(const KernelIo& io, const TensorView& from, const RowLayout& layout,
                    const SmallVector<std::uint32_t, 16>& rows, ort::Value* to) {
  const RowLayout target{layout.outer, rows.size(), layout.inner};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t k = 0; k < layout.row_bytes(); ++k) {
      const std::size_t chunk = k / layout.inner;
      const std::size_t within = k % layout.inner;
      io.WriteString(to, target.offset(i, chunk) + within,
                     from.strings->at(layout.offset(rows[i], chunk) + within));
    }
  }
}

void CopyWhole(const KernelIo& io, const TensorView& from, const KernelIo::Output& to,
               const Parallel& parallel) {
  if (from.strings) {
    for (std::size_t i = 0; i < from.elements; ++i) {
      io.WriteString(to.value, i, from.strings->at(i));
    }
    return;
  }
  const RowLayout layout = RowLayout::Whole(from.bytes);
  CopyRows(
      parallel, 1, from.bytes, [&](std::size_t) { return ConstRow{from.data, layout, 0}; },
      [&](std::size_t) { return MutableRow{to.data, layout, 0}; });
}

}  // namespace

void LookupOutputs::WriteCached() const {
  const bool by_row = kind == PlanKind::kRow;
  // Without a miss these are the complete results, with one they are what CacheStore merges.
  const std::size_t rows = match.any_miss() ? match.hits.size() : match.sources.size();
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    const ElementType type = attributes.output_types[i];
    if (match.hits.empty()) {
      io.Allocate(2 + i, type, Dims{0});
      continue;
    }
    const DimsView row_dims = match.hits.front()->dims(i);
    Dims dims;
    for (const std::int64_t dim : row_dims) dims.push_back(dim);
    const auto axis = static_cast<std::size_t>(by_row ? attributes.output_row_axes[i] : 0);
    if (by_row) dims.insert(axis, static_cast<std::int64_t>(rows));
    const KernelIo::Output output = io.Allocate(2 + i, type, dims);
    if (output.data == nullptr) continue;
    const std::size_t row_bytes = match.hits.front()->bytes(i);
    const RowLayout layout =
        by_row ? RowLayout::Of(dims, axis, Unit(type)) : RowLayout::Whole(row_bytes);
    CopyRows(
        parallel, rows, row_bytes,
        [&](std::size_t row) {
          const std::size_t hit = match.any_miss() ? row : match.sources[row].index();
          return ConstRow{static_cast<const std::byte*>(match.hits[hit]->data(i)), layout.Dense(),
                          0};
        },
        [&](std::size_t row) { return MutableRow{output.data, layout, row}; });
  }
}

void LookupOutputs::WriteCompact(const std::vector<TensorView>& inputs) const {
  const bool by_row = kind == PlanKind::kRow;
  const SmallVector<std::uint32_t, 16>& missing = match.missing;
  // On a miss without row keys the region runs on everything.
  const bool everything =
      kind == PlanKind::kPass || (match.any_miss() && (!by_row || missing.size() == call_rows));
  SmallVector<std::uint32_t, 16> rows = missing;
  if (!everything && !missing.empty()) {
    const std::size_t computed = ComputedRows(missing.size(), call_rows, attributes.min_rows);
    while (rows.size() < computed) rows.push_back(missing[missing.size() - 1]);
  }
  std::size_t index = 2 + attributes.live_outs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int64_t axis = attributes.input_row_axes[i];
    if (axis < 0) continue;
    const TensorView& input = inputs[i];
    if (everything) {
      const KernelIo::Output output = io.Allocate(index++, input.type, input.dims);
      if (output.value != nullptr) CopyWhole(io, input, output, parallel);
      continue;
    }
    if (missing.empty()) {
      // The other branch runs and nobody reads this. An input too small to have the axis gives [0].
      const bool has_axis = static_cast<std::size_t>(axis) < input.dims.size();
      io.Allocate(index++, input.type, has_axis ? WithRows(input.dims, axis, 0) : Dims{0});
      continue;
    }
    const Dims dims = WithRows(input.dims, axis, rows.size());
    const KernelIo::Output output = io.Allocate(index++, input.type, dims);
    if (output.value == nullptr) continue;
    const auto from = RowLayout::Of(input.dims, static_cast<std::size_t>(axis), Unit(input.type));
    if (input.strings) {
      CopyStringRows(io, input, from, rows, output.value);
      continue;
    }
    const auto to = RowLayout::Of(dims, static_cast<std::size_t>(axis), Unit(input.type));
    CopyRows(
        parallel, rows.size(), from.row_bytes(),
        [&](std::size_t row) { return ConstRow{input.data, from, rows[row]}; },
        [&](std::size_t row) { return MutableRow{output.data, to, row}; });
  }
}

}  // namespace actcache
