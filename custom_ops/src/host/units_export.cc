// actcache_units(): how CacheLookup would divide a call, without a session.
#include <algorithm>
#include <utility>
#include <vector>

#include "actcache.h"
#include "units/cut.h"

namespace {

using actcache::Axes;
using actcache::RowConditions;
using actcache::RowCut;
using actcache::TensorView;
using actcache::Units;

std::vector<TensorView> Shapes(std::size_t inputs, const std::int32_t* types,
                               const std::size_t* ranks, const std::int64_t* dims) {
  std::vector<TensorView> views(inputs);
  for (std::size_t i = 0; i < inputs; ++i) {
    views[i].type = static_cast<actcache::ElementType>(types[i]);
    views[i].dims.resize(ranks[i]);
    std::copy(dims, dims + ranks[i], views[i].dims.begin());
    dims += ranks[i];
  }
  return views;
}

}  // namespace

extern "C" std::int64_t actcache_units(std::size_t inputs, const std::int32_t* types,
                                       const std::size_t* ranks, const std::int64_t* dims,
                                       const std::int64_t* row_axes, const std::int64_t* row_ranks,
                                       const std::int64_t* equations, std::size_t equation_numbers,
                                       int* why) {
  try {
    *why = static_cast<int>(actcache::OneUnit::kByCalls);
    if (row_axes == nullptr) return 1;
    RowConditions conditions;
    if (row_ranks != nullptr) conditions.ranks.assign(row_ranks, row_ranks + inputs);
    if (!actcache::ParseSizeEquations({equations, equations + equation_numbers}, inputs,
                                      &conditions.sizes)) {
      return -1;
    }
    Axes axes(inputs);
    std::copy(row_axes, row_axes + inputs, axes.begin());
    const RowCut cut(axes, {}, std::move(conditions));
    const Units units = cut.UnitsOf(Shapes(inputs, types, ranks, dims));
    *why = static_cast<int>(units.why);
    return static_cast<std::int64_t>(units.count);
  } catch (...) {
    return -1;  // no memory
  }
}
