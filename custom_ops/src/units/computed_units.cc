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

ComputedUnits::ComputedUnits(const Cut& cut, const std::vector<TensorView>& computed)
    : computed_(computed) {
  for (std::size_t i = 0; i < computed.size(); ++i) {
    const Dims dims = cut.output(i).UnitDims(computed[i].dims);
    windows_.push_back(cut.output(i).In(computed[i]));
    specs_.push_back({static_cast<std::int32_t>(computed[i].type),
                      std::vector<std::int64_t>(dims.begin(), dims.end()),
                      windows_.back().unit_bytes()});
    most_ = std::max(most_, specs_.back().bytes);
  }
}

std::size_t ComputedUnits::unit_bytes() const {
  std::size_t bytes = 0;
  for (const TensorSpec& spec : specs_) bytes += spec.bytes;
  return bytes;
}

double ComputedUnits::DifferenceFrom(const Entry& entry, std::size_t unit) const {
  constexpr double kDifferent = std::numeric_limits<double>::infinity();
  if (entry.tensor_count() != specs_.size()) return kDifferent;
  double difference = 0;
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (!SameKind(entry, i, specs_[i])) return kDifferent;
    RowComparison comparison(computed_[i].type);
    const auto* kept = static_cast<const std::byte*>(entry.data(i));
    ForEachPiece(computed_[i].data, windows_[i], unit, 0, specs_[i].bytes,
                 [&](const std::byte* piece, std::size_t size) {
                   comparison.Add(piece, kept, size);
                   kept += size;
                 });
    difference = std::max(difference, comparison.difference());
  }
  return difference;
}

}  // namespace actcache
