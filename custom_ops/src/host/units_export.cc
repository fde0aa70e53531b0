// actcache_units() and actcache_prefix_units(): how CacheLookup would divide a call, without a
// session.
#include <algorithm>
#include <utility>
#include <vector>

#include "actcache.h"
#include "units/cut.h"
#include "units/prefix_cut.h"

namespace {

using actcache::Axes;
using actcache::Conditions;
using actcache::PrefixAxes;
using actcache::PrefixCut;
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

Axes AxesOf(const std::int64_t* numbers, std::size_t count) {
  Axes axes(count);
  std::copy(numbers, numbers + count, axes.begin());
  return axes;
}

// False if the equations are malformed.
bool ReadConditions(std::size_t inputs, const std::int64_t* ranks, const std::int64_t* equations,
                    std::size_t equation_numbers, Conditions* conditions) {
  if (ranks != nullptr) conditions->ranks.assign(ranks, ranks + inputs);
  return actcache::ParseSizeEquations({equations, equations + equation_numbers}, inputs,
                                      &conditions->sizes);
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
    Conditions conditions;
    if (!ReadConditions(inputs, row_ranks, equations, equation_numbers, &conditions)) return -1;
    const RowCut cut(AxesOf(row_axes, inputs), {}, std::move(conditions));
    const Units units = cut.UnitsOf(Shapes(inputs, types, ranks, dims));
    *why = static_cast<int>(units.why);
    return static_cast<std::int64_t>(units.count);
  } catch (...) {
    return -1;  // no memory
  }
}

extern "C" std::int64_t actcache_prefix_units(std::size_t inputs, const std::int32_t* types,
                                              const std::size_t* ranks, const std::int64_t* dims,
                                              const std::int64_t* row_axes,
                                              const std::int64_t* position_axes, std::size_t block,
                                              const std::int64_t* input_ranks,
                                              const std::int64_t* equations,
                                              std::size_t equation_numbers, int* why) {
  try {
    Conditions conditions;
    if (block < 1 ||
        !ReadConditions(inputs, input_ranks, equations, equation_numbers, &conditions)) {
      return -1;
    }
    const PrefixAxes axes{AxesOf(row_axes, inputs), AxesOf(position_axes, inputs), {}, {}};
    const PrefixCut cut(axes, block, 1, std::move(conditions));
    const Units units = cut.UnitsOf(Shapes(inputs, types, ranks, dims));
    *why = static_cast<int>(units.why);
    return static_cast<std::int64_t>(units.count);
  } catch (...) {
    return -1;  // no memory
  }
}
