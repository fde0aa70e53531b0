#include "ops/lookup_outputs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "units/runs.h"
#include "units/window.h"

namespace actcache {
namespace {

void CopyStrings(const KernelIo& io, const TensorView& from, const Window& source, const Runs& runs,
                 const Window& target, ort::Value* to) {
  std::size_t i = 0;
  for (const Run& run : runs) {
    for (std::size_t unit = run.from; unit < run.from + run.count; ++unit, ++i) {
      for (std::size_t k = 0; k < source.unit_bytes(); ++k) {
        const std::size_t chunk = k / source.chunk;
        const std::size_t within = k % source.chunk;
        io.WriteString(to, target.offset(i, chunk) + within,
                       from.strings->at(source.offset(unit, chunk) + within));
      }
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

std::size_t LookupOutputs::RowsOf(const std::vector<TensorView>& inputs) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const UnitAxis& rows = cut.input(i).rows();
    if (rows.divides() && rows.IsIn(inputs[i].dims)) return rows.UnitsIn(inputs[i].dims);
  }
  return 1;
}

std::size_t LookupOutputs::cached() const {
  return match.any_miss() ? cut.first_end() : attributes.handed_on();
}

bool LookupOutputs::IsForBranch(std::size_t live_out) const {
  return match.any_miss() ? attributes.StoreFetches(live_out)
                          : attributes.hands_over && live_out < attributes.handed_on();
}

template <typename Counts>
std::size_t LookupOutputs::BytesOf(const Counts& counts) const {
  if (match.hits.empty()) return 0;
  std::size_t unit_bytes = 0;
  const Entry& entry = *match.hits.front();
  for (std::size_t i = 0; i < cached(); ++i) {
    if (counts(i)) unit_bytes += entry.bytes(i);
  }
  return unit_bytes * match.handed_out.count();
}

std::size_t LookupOutputs::FoundBytes() const {
  return BytesOf([](std::size_t) { return true; });
}

std::size_t LookupOutputs::BytesForBranch() const {
  return BytesOf([&](std::size_t live_out) { return IsForBranch(live_out); });
}

std::size_t LookupOutputs::HeldBytes() const {
  if (!units.cut->has_ends()) return match.hits.front()->charge() * match.hits.size();
  std::size_t bytes = 0;
  for (const EntryRef& entry : match.hits) bytes += entry->charge();
  return bytes;
}

FoundTensor LookupOutputs::Found(std::size_t live_out) const {
  Dims unit_dims;
  for (const std::int64_t dim : match.hits.front()->dims(live_out)) unit_dims.push_back(dim);
  const ElementType type = attributes.output_types[live_out];
  const UnitPlace& place = units.cut->output(live_out);
  const Dims dims = place.Joined(std::move(unit_dims), match.handed_out);
  return {live_out, type, dims, place.In(type, dims)};
}

void LookupOutputs::WriteCached(const std::vector<TensorView>& inputs, bool handed_over) const {
  FoundTargets targets;
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    if (!match.ends.empty() && i >= cut.first_end()) {
      WriteEnds(i, match.ends.size());
      continue;
    }
    if (match.hits.empty() || i >= cached() || (handed_over && IsForBranch(i))) {
      io.Allocate(2 + i, attributes.output_types[i], attributes.EmptyDims(i, RowsOf(inputs)));
      continue;
    }
    const FoundTensor found = Found(i);
    const KernelIo::Output output = io.Allocate(2 + i, found.type, found.dims);
    if (output.data != nullptr) targets.push_back({i, output.data, found.window});
  }
  if (targets.empty()) return;
  CopyFound(parallel, match.hits,
            match.any_miss() ? InOrder(match.handed_out.count()) : PlacesOf(match.sources),
            targets);
}

std::unique_ptr<HandedOver> LookupOutputs::ForBranch() const {
  auto found = std::make_unique<HandedOver>();
  for (std::size_t i = 0; i < cached(); ++i) {
    if (IsForBranch(i)) found->tensors.push_back(Found(i));
  }
  found->entries = match.hits;
  found->bytes = HeldBytes();
  found->computes = match.any_miss();
  if (!found->computes) found->sources = match.sources;
  return found;
}

void LookupOutputs::WriteEnds(std::size_t live_out, std::size_t rows) const {
  Dims unit_dims;
  for (const std::int64_t dim : match.ends.front()->dims(live_out)) unit_dims.push_back(dim);
  const ElementType type = attributes.output_types[live_out];
  const UnitPlace& place = cut.output(live_out);
  const Dims dims = place.Joined(std::move(unit_dims), UnitGrid{rows, 1});
  const KernelIo::Output output = io.Allocate(2 + live_out, type, dims);
  if (output.data == nullptr) return;
  const Window window = place.In(type, dims);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto* data = static_cast<const std::byte*>(match.ends[row]->data(live_out));
    CopyUnitBytes({data, window.Dense(), 0}, {output.data, window, row}, 0, window.unit_bytes());
  }
}

void LookupOutputs::WriteDivided() const {
  if (!cut.has_ends()) return;
  const KernelIo::Output output =
      io.Allocate(attributes.divided_output(), ElementType::kInt64, Dims{1});
  const auto divided = static_cast<std::int64_t>(match.divided);
  if (output.data != nullptr) std::memcpy(output.data, &divided, sizeof(divided));
}

void LookupOutputs::WriteCompact(const std::vector<TensorView>& inputs) const {
  const bool passes = match.sources.empty();
  const bool everything = passes || match.missing.size() == units.count;
  const bool nothing = !passes && !match.any_miss();
  Runs runs;
  if (!everything && !nothing) runs = units.cut->ToCompute(units, match.missing);
  std::size_t output = 2 + attributes.live_outs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const UnitAxis& axis = cut.input(i).splice();
    if (!axis.divides()) continue;
    const TensorView& input = inputs[i];
    if (everything) {
      const KernelIo::Output to = io.Allocate(output, input.type, input.dims);
      if (to.value != nullptr) CopyWhole(io, input, to, parallel);
    } else if (nothing) {
      // The other branch runs and nobody reads this. An input too small to have the axis gives [0].
      io.Allocate(output, input.type,
                  axis.IsIn(input.dims) ? axis.WithUnits(input.dims, 0) : Dims{0});
    } else {
      WriteRuns(output, i, input, runs);
    }
    ++output;
  }
}

void LookupOutputs::WriteRuns(std::size_t output, std::size_t input, const TensorView& from,
                              const Runs& runs) const {
  const UnitAxis& axis = cut.input(input).splice();
  const Dims dims = axis.WithUnits(from.dims, CountOf(runs));
  const KernelIo::Output to = io.Allocate(output, from.type, dims);
  if (to.value == nullptr) return;
  const Window source = axis.In(from);
  const Window target = axis.In(from.type, dims);
  if (from.strings) return CopyStrings(io, from, source, runs, target, to.value);
  const RunSource all{from.data, source};
  CopyRuns(parallel, runs, all, all, to.data, target);
}

}  // namespace actcache
