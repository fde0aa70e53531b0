#include "units/computed_units.h"

#include <algorithm>
#include <limits>

#include "units/compare.h"

namespace actcache {
namespace {

bool SameKind(const Entry& entry, std::size_t i, const TensorSpec& spec) {
  const DimsView dims = entry.dims(i);
  return entry.dtype(i) == spec.dtype && entry.bytes(i) == spec.bytes &&
         std::equal(dims.begin(), dims.end(), spec.dims.begin(), spec.dims.end());
}

}  // namespace

ComputedUnits::ComputedUnits(const Cut& cut, const std::vector<TensorView>& computed,
                             std::size_t divided)
    : cut_(cut), computed_(computed), divided_(divided) {
  for (std::size_t i = 0; i < computed.size(); ++i) {
    const Dims dims = cut.output(i).UnitDims(computed[i].dims);
    windows_.push_back(cut.output(i).In(computed[i]));
    specs_.push_back({static_cast<std::int32_t>(computed[i].type),
                      std::vector<std::int64_t>(dims.begin(), dims.end()),
                      windows_.back().unit_bytes()});
    most_ = std::max(most_, specs_.back().bytes);
  }
  if (!cut.has_ends()) return;
  const std::size_t told = divided > 0 ? 2 : 1;
  const std::size_t rows = windows_[cut.first_end()].units / told;
  length_ = windows_.front().units / std::max<std::size_t>(1, rows);
  without_ends_ = specs_;
  for (std::size_t i = cut.first_end(); i < computed.size(); ++i) {
    const Dims dims = cut.output(i).WithoutEnd(computed[i].dims);
    without_ends_[i].dims.assign(dims.begin(), dims.end());
    without_ends_[i].bytes = 0;
  }
}

std::size_t ComputedUnits::unit_bytes(std::size_t unit) const {
  std::size_t bytes = 0;
  for (const TensorSpec& spec : specs(unit)) bytes += spec.bytes;
  return bytes;
}

ConstUnit ComputedUnits::PartOf(std::size_t unit, std::size_t i) const {
  if (i < cut_.first_end()) return {computed_[i].data, windows_[i], unit};
  if (!HasEnds(unit)) return {computed_[i].data, Window::Whole(0), 0};
  const std::size_t row = unit / length_;
  if (divided_ == 0) return {computed_[i].data, windows_[i], row};
  return {computed_[i].data, windows_[i], 2 * row + ((unit + 1) % length_ == 0 ? 1 : 0)};
}

double ComputedUnits::DifferenceFrom(const Entry& entry, std::size_t unit) const {
  constexpr double kDifferent = std::numeric_limits<double>::infinity();
  if (entry.tensor_count() != specs_.size()) return kDifferent;
  double difference = 0;
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    // Ends are compared where both have some.
    if (i >= cut_.first_end() && (!HasEnds(unit) || entry.bytes(i) == 0)) continue;
    if (!SameKind(entry, i, specs_[i])) return kDifferent;
    RowComparison comparison(computed_[i].type);
    const auto* kept = static_cast<const std::byte*>(entry.data(i));
    const ConstUnit part = PartOf(unit, i);
    ForEachPiece(part.tensor, part.window, part.unit, 0, specs_[i].bytes,
                 [&](const std::byte* piece, std::size_t size) {
                   comparison.Add(piece, kept, size);
                   kept += size;
                 });
    difference = std::max(difference, comparison.difference());
  }
  return difference;
}

}  // namespace actcache
