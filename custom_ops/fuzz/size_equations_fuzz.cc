// ParseSizeEquations: takes exactly the lists that are equations over inputs that are there; and
// Hold() agrees with arithmetic that cannot overflow.
//
// Input: the number of inputs, their ranks and sizes, then the attribute's numbers.
#include "units/size_equations.h"

#include <cstring>
#include <limits>

#include "reader.h"
#include "target.h"

namespace actcache {
namespace {

using Wide = __int128;

// The same list again, from what was read of it.
std::vector<std::int64_t> Write(const std::vector<SizeEquation>& equations) {
  std::vector<std::int64_t> flat;
  for (const SizeEquation& equation : equations) {
    flat.push_back(static_cast<std::int64_t>(equation.axes.size()));
    flat.push_back(equation.constant);
    for (const auto& [input, axis] : equation.axes) {
      flat.push_back(static_cast<std::int64_t>(input));
      flat.push_back(static_cast<std::int64_t>(axis));
    }
  }
  return flat;
}

bool HoldSlowly(const std::vector<SizeEquation>& equations, const std::vector<TensorView>& inputs) {
  for (const SizeEquation& equation : equations) {
    Wide sum = equation.constant;
    Wide first = 0;
    for (std::size_t i = 0; i < equation.axes.size(); ++i) {
      const auto [input, axis] = equation.axes[i];
      if (axis >= inputs[input].dims.size()) return false;
      (i == 0 ? first : sum) += inputs[input].dims[axis];
    }
    if (first != sum) return false;
  }
  return true;
}

std::vector<TensorView> ReadInputs(fuzz::Reader* reader) {
  std::vector<TensorView> inputs(reader->Below(4));
  for (TensorView& input : inputs) {
    input.dims.resize(reader->Below(4));
    for (std::int64_t& dim : input.dims) dim = static_cast<std::int64_t>(reader->Below(8));
  }
  return inputs;
}

template <typename... Numbers>
fuzz::Input Seed(fuzz::Input inputs, Numbers... numbers) {
  for (const std::int64_t number : {static_cast<std::int64_t>(numbers)...}) {
    inputs.resize(inputs.size() + sizeof(number));
    std::memcpy(inputs.data() + inputs.size() - sizeof(number), &number, sizeof(number));
  }
  return inputs;
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  const Input two = {2, 2, 5, 3, 1, 4};  // [5, 3] and [4]
  return {Seed(two, 2, 1, 0, 0, 1, 0), Seed(two, 1, 3, 0, 1, 1, 4, 1, 0),
          Seed(two, 1, kLeast, 0, 0), Seed(two, 1, 0, 0, 7), Seed(two, 2, 0, 0, 0)};
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  fuzz::Reader reader(data, size);
  const std::vector<TensorView> inputs = ReadInputs(&reader);
  std::vector<std::int64_t> flat;
  while (!reader.empty()) flat.push_back(reader.Number<std::int64_t>());

  std::vector<SizeEquation> equations;
  if (!ParseSizeEquations(flat, inputs.size(), &equations)) return 0;
  ACTCACHE_FUZZ_CHECK(Write(equations) == flat);
  for (const SizeEquation& equation : equations) {
    ACTCACHE_FUZZ_CHECK(!equation.axes.empty());
    for (const InputAxis& axis : equation.axes) ACTCACHE_FUZZ_CHECK(axis.input < inputs.size());
  }
  ACTCACHE_FUZZ_CHECK(Hold(equations, inputs) == HoldSlowly(equations, inputs));
  return 0;
}
