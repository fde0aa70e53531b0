// Rows of a tensor, for every axis, against a plain loop over indices.
#include "units/window.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

namespace actcache {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 251);
  return bytes;
}

// Row `row` of a tensor, gathered one byte at a time.
Bytes GatherSlowly(const Bytes& tensor, const Dims& dims, std::size_t axis, std::size_t unit,
                   std::size_t row) {
  Bytes out;
  const std::size_t elements = ElementCount(dims);
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < dims.size(); ++i) inner *= static_cast<std::size_t>(dims[i]);
  for (std::size_t element = 0; element < elements; ++element) {
    if (element / inner % static_cast<std::size_t>(dims[axis]) != row) continue;
    for (std::size_t b = 0; b < unit; ++b) out.push_back(tensor[element * unit + b]);
  }
  return out;
}

struct Case {
  Dims dims;
  std::size_t axis;
  std::size_t unit;
};

std::vector<Case> Cases() {
  return {{{4, 3}, 0, 4},    {{4, 3}, 1, 4},     {{2, 4, 3}, 1, 8},
          {{2, 3, 4}, 2, 2}, {{5}, 0, 1},        {{2, 2, 3, 2}, 2, 4},
          {{3, 0, 2}, 0, 4}, {{1, 1, 1}, 1, 16}, {{2, 3, 100000}, 1, 4}};
}

TEST(Window, GathersEveryRowOfEveryAxis) {
  for (const Case& c : Cases()) {
    const Bytes tensor = Counting(ElementCount(c.dims) * c.unit);
    const Window window = Window::Along(c.dims, c.axis, c.unit);
    for (std::size_t row = 0; row < window.units; ++row) {
      Bytes gathered(window.unit_bytes());
      CopyUnitBytes(ConstUnit{tensor.data(), window, row},
                    MutableUnit{gathered.data(), window.Dense(), 0}, 0, window.unit_bytes());
      ASSERT_EQ(gathered, GatherSlowly(tensor, c.dims, c.axis, c.unit, row));
    }
  }
}

TEST(Window, PiecesOfARangeAreTheGatheredBytes) {
  const Dims dims{3, 4, 5};
  const Bytes tensor = Counting(60 * 4);
  const Window window = Window::Along(dims, 1, 4);
  const Bytes row = GatherSlowly(tensor, dims, 1, 4, 2);
  for (std::size_t begin = 0; begin <= row.size(); begin += 7) {
    for (std::size_t end = begin; end <= row.size(); end += 5) {
      Bytes seen;
      ForEachPiece(tensor.data(), window, 2, begin, end,
                   [&](const std::byte* piece, std::size_t size) {
                     seen.insert(seen.end(), piece, piece + size);
                   });
      ASSERT_EQ(seen, Bytes(row.begin() + static_cast<std::ptrdiff_t>(begin),
                            row.begin() + static_cast<std::ptrdiff_t>(end)));
    }
  }
}

// Reverses the rows into another tensor and reads them back through dense rows, as a store and a
// later lookup would.
TEST(Window, ScattersWhatItGathered) {
  for (const Case& c : Cases()) {
    const Bytes tensor = Counting(ElementCount(c.dims) * c.unit);
    const Window window = Window::Along(c.dims, c.axis, c.unit);
    Bytes dense(tensor.size());
    Bytes reversed(tensor.size());
    const Parallel serial;
    const std::size_t n = window.units;
    CopyUnits(
        serial, n, window.unit_bytes(),
        [&](std::size_t row) { return ConstUnit{tensor.data(), window, row}; },
        [&](std::size_t row) {
          return MutableUnit{dense.data() + row * window.unit_bytes(), window.Dense(), 0};
        });
    CopyUnits(
        serial, n, window.unit_bytes(),
        [&](std::size_t row) {
          return ConstUnit{dense.data() + (n - 1 - row) * window.unit_bytes(), window.Dense(), 0};
        },
        [&](std::size_t row) { return MutableUnit{reversed.data(), window, row}; });
    for (std::size_t row = 0; row < n; ++row) {
      ASSERT_EQ(GatherSlowly(reversed, c.dims, c.axis, c.unit, row),
                GatherSlowly(tensor, c.dims, c.axis, c.unit, n - 1 - row));
    }
  }
}

TEST(SmallVector, GrowsOutOfItsInlineRoom) {
  SmallVector<int, 2> values;
  for (int i = 0; i < 100; ++i) values.push_back(i);
  SmallVector<int, 2> copy = values;
  values.insert(0, -1);
  values.erase(1);
  EXPECT_EQ(values[0], -1);
  EXPECT_EQ(values[99], 99);
  EXPECT_NE(copy, values);
  const SmallVector<int, 2> moved = std::move(copy);
  EXPECT_EQ(moved.size(), 100u);
  EXPECT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  copy.push_back(5);
  EXPECT_EQ(copy[0], 5);
}

}  // namespace
}  // namespace actcache
