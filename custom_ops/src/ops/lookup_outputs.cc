#include "ops/lookup_outputs.h"

#include "units/window.h"

namespace actcache {
namespace {

// Units `which` of a string tensor, in that order.
void CopyStrings(const KernelIo& io, const TensorView& from, const Window& source,
                 const SmallVector<std::uint32_t, 16>& which, const Window& target,
                 ort::Value* to) {
  for (std::size_t i = 0; i < which.size(); ++i) {
    for (std::size_t k = 0; k < source.unit_bytes(); ++k) {
      const std::size_t chunk = k / source.chunk;
      const std::size_t within = k % source.chunk;
      io.WriteString(to, target.offset(i, chunk) + within,
                     from.strings->at(source.offset(which[i], chunk) + within));
    }
  }
}

void CopyWhole(const KernelIo& io, const TensorView& from, const KernelIo::Output& to,
               const Parallel& parallel) {
  if (!from.strings) return CopyAll(parallel, from.data, to.data, from.bytes);
  for (std::size_t i = 0; i < from.elements; ++i) {
    io.WriteString(to.value, i, from.strings->at(i));
  }
}

}  // namespace

void LookupOutputs::WriteCached() const {
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    const ElementType type = attributes.output_types[i];
    if (match.hits.empty()) {
      io.Allocate(2 + i, type, Dims{0});
      continue;
    }
    Dims unit_dims;
    for (const std::int64_t dim : match.hits.front()->dims(i)) unit_dims.push_back(dim);
    const UnitAxis& axis = units.cut->output(i);
    const Dims dims = axis.Joined(std::move(unit_dims), match.handed_out());
    const KernelIo::Output output = io.Allocate(2 + i, type, dims);
    if (output.data == nullptr) continue;
    const Window window = axis.In(type, dims);
    CopyUnits(
        parallel, match.handed_out(), window.unit_bytes(),
        [&](std::size_t unit) {
          const std::size_t hit = match.any_miss() ? unit : match.sources[unit].index();
          return ConstUnit{static_cast<const std::byte*>(match.hits[hit]->data(i)), window.Dense(),
                           0};
        },
        [&](std::size_t unit) { return MutableUnit{output.data, window, unit}; });
  }
}

void LookupOutputs::WriteCompact(const std::vector<TensorView>& inputs) const {
  const bool passes = match.sources.empty();
  const bool everything = passes || match.missing.size() == units.count;
  SmallVector<std::uint32_t, 16> which = match.missing;
  if (!everything && !which.empty()) {
    which.resize(units.cut->Computed(which.size(), units.count), which[which.size() - 1]);
  }
  std::size_t output = 2 + attributes.live_outs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!cut.input(i).divides()) continue;
    const TensorView& input = inputs[i];
    if (everything) {
      const KernelIo::Output to = io.Allocate(output, input.type, input.dims);
      if (to.value != nullptr) CopyWhole(io, input, to, parallel);
    } else if (which.empty()) {
      // The other branch runs and nobody reads this. An input too small to have the axis gives [0].
      const UnitAxis& axis = cut.input(i);
      io.Allocate(output, input.type,
                  axis.IsIn(input.dims) ? axis.WithUnits(input.dims, 0) : Dims{0});
    } else {
      WriteSome(output, i, input, which);
    }
    ++output;
  }
}

void LookupOutputs::WriteSome(std::size_t output, std::size_t input, const TensorView& from,
                              const SmallVector<std::uint32_t, 16>& which) const {
  const UnitAxis& axis = cut.input(input);
  const Dims dims = axis.WithUnits(from.dims, which.size());
  const KernelIo::Output to = io.Allocate(output, from.type, dims);
  if (to.value == nullptr) return;
  const Window source = axis.In(from);
  const Window target = axis.In(from.type, dims);
  if (from.strings) return CopyStrings(io, from, source, which, target, to.value);
  CopyUnits(
      parallel, which.size(), source.unit_bytes(),
      [&](std::size_t i) { return ConstUnit{from.data, source, which[i]}; },
      [&](std::size_t i) { return MutableUnit{to.data, target, i}; });
}

}  // namespace actcache
