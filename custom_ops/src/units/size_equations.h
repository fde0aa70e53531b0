// What has to hold of the ranks and sizes of a region's frontier for its rows to be independent.
// Exporters read the number of tokens off one input and use it for another; onnxruntime does not
// check that both have as many, nor that an input declared as a scalar is one.
#ifndef ACTCACHE_UNITS_SIZE_EQUATIONS_H_
#define ACTCACHE_UNITS_SIZE_EQUATIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "units/tensor_view.h"

namespace actcache {

struct InputAxis {
  std::size_t input;
  std::size_t axis;
};

// The size of `axes[0]` is `constant` plus the sizes of the other axes.
struct SizeEquation {
  std::int64_t constant;
  std::vector<InputAxis> axes;
};

// Reads the attribute: per equation the number of its axes, the constant, and an input and an axis
// for each. False if it is malformed or names an input that is not there.
bool ParseSizeEquations(const std::vector<std::int64_t>& flat, std::size_t inputs,
                        std::vector<SizeEquation>* equations);

// Whether all of them hold. An axis that is not there satisfies none.
bool Hold(const std::vector<SizeEquation>& equations, const std::vector<TensorView>& inputs);

// Whether every tensor has its rank; -1: any. No ranks at all: models compiled without them.
bool HaveRanks(const std::vector<std::int64_t>& ranks, const std::vector<TensorView>& inputs);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_SIZE_EQUATIONS_H_
