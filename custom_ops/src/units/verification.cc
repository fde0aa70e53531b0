#include "units/verification.h"

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

double DifferenceFrom(const Entry& entry, const std::vector<TensorView>& computed,
                      const std::vector<RowLayout>& layouts, const std::vector<TensorSpec>& specs,
                      std::size_t row) {
  constexpr double kDifferent = std::numeric_limits<double>::infinity();
  if (entry.tensor_count() != specs.size()) return kDifferent;
  double difference = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!SameKind(entry, i, specs[i])) return kDifferent;
    RowComparison comparison(computed[i].type);
    const auto* kept = static_cast<const std::byte*>(entry.data(i));
    ForEachPiece(computed[i].data, layouts[i], row, 0, specs[i].bytes,
                 [&](const std::byte* piece, std::size_t size) {
                   comparison.Add(piece, kept, size);
                   kept += size;
                 });
    difference = std::max(difference, comparison.difference());
  }
  return difference;
}

}  // namespace actcache
