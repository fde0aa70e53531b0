#include "units/size_equations.h"

#include <utility>

namespace actcache {
namespace {

bool Holds(const SizeEquation& equation, const std::vector<TensorView>& inputs) {
  // Unsigned, as the constant can be anything: modulo 2^64 the sizes of tensors that fit into
  // memory are still told apart.
  auto rest = std::uint64_t{0} - static_cast<std::uint64_t>(equation.constant);
  for (std::size_t i = 0; i < equation.axes.size(); ++i) {
    const auto [input, axis] = equation.axes[i];
    const Dims& dims = inputs[input].dims;
    if (axis >= dims.size()) return false;
    const auto size = static_cast<std::uint64_t>(dims[axis]);
    rest += i == 0 ? size : std::uint64_t{0} - size;
  }
  return rest == 0;
}

}  // namespace

bool ParseSizeEquations(const std::vector<std::int64_t>& flat, std::size_t inputs,
                        std::vector<SizeEquation>* equations) {
  for (std::size_t at = 0; at < flat.size();) {
    const std::size_t left = flat.size() - at;
    if (left < 2 || flat[at] < 1 || static_cast<std::uint64_t>(flat[at]) > (left - 2) / 2) {
      return false;
    }
    SizeEquation equation{flat[at + 1], {}};
    const std::size_t end = at + 2 + 2 * static_cast<std::size_t>(flat[at]);
    for (at += 2; at < end; at += 2) {
      if (flat[at] < 0 || flat[at + 1] < 0) return false;
      equation.axes.push_back(
          {static_cast<std::size_t>(flat[at]), static_cast<std::size_t>(flat[at + 1])});
      if (equation.axes.back().input >= inputs) return false;
    }
    equations->push_back(std::move(equation));
  }
  return true;
}

bool Hold(const std::vector<SizeEquation>& equations, const std::vector<TensorView>& inputs) {
  for (const SizeEquation& equation : equations) {
    if (!Holds(equation, inputs)) return false;
  }
  return true;
}

bool HaveRanks(const std::vector<std::int64_t>& ranks, const std::vector<TensorView>& inputs) {
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] >= 0 && static_cast<std::size_t>(ranks[i]) != inputs[i].dims.size()) return false;
  }
  return true;
}

}  // namespace actcache
