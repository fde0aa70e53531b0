// Blocks of positions: what a call's are, where they lie in memory, and what a suffix is.
#include "units/prefix_cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace actcache {
namespace {

TensorView Shape(Dims dims, ElementType type = ElementType::kFloat) {
  TensorView view;
  view.type = type;
  view.dims = std::move(dims);
  return view;
}

// Ids [batch, positions] and, per row, what all positions read [batch, n].
PrefixCut Decoder(std::size_t block, std::size_t min_suffix = 2) {
  return PrefixCut({{0, 0}, {1, -1}, {0, 0}, {1, 2}}, block, min_suffix,
                   Conditions{{2, -1}, {{0, {{0, 0}, {1, 0}}}}});
}

Units UnitsOf(const PrefixCut& cut, std::int64_t rows, std::int64_t positions) {
  return cut.UnitsOf({Shape({rows, positions}), Shape({rows, 7})});
}

TEST(PrefixCut, DividesEachRowIntoBlocks) {
  const PrefixCut cut = Decoder(4);
  const Units units = UnitsOf(cut, 3, 10);
  EXPECT_EQ(units.count, 6u);
  EXPECT_EQ(units.length, 2u);
  EXPECT_EQ(units.tail, 2u);
  EXPECT_EQ(units.why, OneUnit::kNone);
  for (const auto& [rows, positions] : {std::pair{0, 8}, std::pair{3, 0}, std::pair{3, 3}}) {
    EXPECT_EQ(UnitsOf(cut, rows, positions).count, 0u);
    EXPECT_EQ(UnitsOf(cut, rows, positions).why, OneUnit::kNone);
  }
}

template <typename Element>
OneUnit WhyMask(const std::vector<Element>& elements, ElementType type, const Dims& dims,
                std::int64_t axis, MaskOpen open = MaskOpen::kFirst) {
  const PrefixCut cut({{-1}, {axis}, {-1}, {0}}, 1, 2, {{}, {}, {{0, open}}});
  TensorView mask = Shape(dims, type);
  mask.elements = elements.size();
  mask.data = reinterpret_cast<const std::byte*>(elements.data());
  return cut.UnitsOf({mask}).why;
}

TEST(PrefixCut, HasNoUnitsWhereAMaskIsNotOfZeroAndOneOrClosesTheFirstPosition) {
  using Longs = std::vector<std::int64_t>;
  using Floats = std::vector<float>;
  using Bytes = std::vector<std::uint8_t>;
  constexpr auto kLong = ElementType::kInt64;
  EXPECT_EQ(WhyMask(Longs{1, 0, 1, 1, 1, 0}, kLong, {2, 3}, 1), OneUnit::kNone);
  EXPECT_EQ(WhyMask(Longs{1, 0, 1, 0, 1, 0}, kLong, {2, 3}, 1), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{1, 1, 1, 0, 1, 0}, kLong, {2, 3}, 0), OneUnit::kNone);
  EXPECT_EQ(WhyMask(Longs{1, 0, 1, 0, 1, 0}, kLong, {2, 3}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{1, 2, 1}, kLong, {3}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{1, -1, 1}, kLong, {3}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Floats{1, 0, 1}, ElementType::kFloat, {3}, 0), OneUnit::kNone);
  EXPECT_EQ(WhyMask(Floats{1, 0.5F, 1}, ElementType::kFloat, {3}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Bytes{1, 0}, ElementType::kBool, {2}, 0), OneUnit::kNone);
  EXPECT_EQ(WhyMask(Bytes{0, 1}, ElementType::kBool, {2}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Bytes{0x38, 0x38}, ElementType::kFloat8E4M3FN, {2}, 0), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{}, kLong, {2, 0}, 1), OneUnit::kNone);
}

TEST(PrefixCut, HasNoUnitsWhereAMaskThatHasToBeOpenClosesAnyPosition) {
  using Longs = std::vector<std::int64_t>;
  constexpr auto kLong = ElementType::kInt64;
  constexpr auto kAll = MaskOpen::kAll;
  EXPECT_EQ(WhyMask(Longs{1, 1, 1, 1, 1, 1}, kLong, {2, 3}, 1, kAll), OneUnit::kNone);
  EXPECT_EQ(WhyMask(Longs{1, 0, 1, 1, 1, 1}, kLong, {2, 3}, 1, kAll), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{1, 1, 1, 1, 1, 0}, kLong, {2, 3}, 1, kAll), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{1, 1, 1, 1, 1, 2}, kLong, {2, 3}, 0, kAll), OneUnit::kMask);
  EXPECT_EQ(WhyMask(Longs{}, kLong, {2, 0}, 1, kAll), OneUnit::kNone);
}

TEST(PrefixCut, HasNoUnitsWhereTheProofDoesNotApply) {
  const PrefixCut cut = Decoder(1);
  const auto why = [&](const TensorView& ids, const TensorView& states) {
    const Units units = cut.UnitsOf({ids, states});
    EXPECT_EQ(units.count, 0u);
    return units.why;
  };
  EXPECT_EQ(why(Shape({2, 5, 1}), Shape({2, 7})), OneUnit::kRank);
  EXPECT_EQ(why(Shape({2, 5}), Shape({})), OneUnit::kNoAxis);
  EXPECT_EQ(why(Shape({2, 5}), Shape({1, 7})), OneUnit::kUnequal);
  EXPECT_EQ(why(Shape({2, 5}, ElementType::kInt4), Shape({2, 7})), OneUnit::kPartBytes);
  const PrefixCut sized({{-1}, {0}, {-1}, {0}}, 1, 2, {{}, {{3, {{0, 1}}}}});
  EXPECT_EQ(sized.UnitsOf({Shape({5, 3})}).count, 5u);
  EXPECT_EQ(sized.UnitsOf({Shape({5, 4})}).why, OneUnit::kSizes);
  constexpr auto kMost = static_cast<std::int64_t>(kMaxPlanRows);
  EXPECT_EQ(sized.UnitsOf({Shape({kMost, 3})}).count, kMaxPlanRows);
  EXPECT_EQ(sized.UnitsOf({Shape({kMost + 1, 3})}).why, OneUnit::kTooMany);
  EXPECT_EQ(why(Shape({3, kMost / 2}), Shape({3, 7})), OneUnit::kTooMany);
}

TEST(PrefixCut, LeavesAsManyPositionsAsHaveToBeComputedTogether) {
  const PrefixCut one = Decoder(1, 2);
  EXPECT_EQ(one.Used(10, UnitsOf(one, 1, 10)), 10u);  // all is known
  EXPECT_EQ(one.Used(9, UnitsOf(one, 1, 10)), 8u);
  EXPECT_EQ(one.Used(3, UnitsOf(one, 1, 10)), 3u);
  EXPECT_EQ(one.Used(0, UnitsOf(one, 1, 1)), 0u);
  EXPECT_EQ(one.Used(1, UnitsOf(one, 1, 2)), 0u);
  const PrefixCut four = Decoder(4, 2);
  EXPECT_EQ(four.Used(2, UnitsOf(four, 1, 8)), 2u);
  EXPECT_EQ(four.Used(2, UnitsOf(four, 1, 9)), 1u);  // one position alone is none
  EXPECT_EQ(four.Used(2, UnitsOf(four, 1, 10)), 2u);
  EXPECT_EQ(four.Used(1, UnitsOf(four, 1, 8)), 1u);
}

TEST(PrefixCut, ComputesTheSuffixOfAllRows) {
  const PrefixCut cut = Decoder(4);
  const Units units = UnitsOf(cut, 2, 11);  // blocks 0, 1 | 2, 3
  const Runs runs = cut.ToCompute(units, {1, 3});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].from, 4u);
  EXPECT_EQ(runs[0].count, 7u);
  EXPECT_EQ(cut.ToCompute(units, {})[0].from, 8u);  // what is behind the blocks
  CallPlan plan;
  plan.kind = PlanKind::kPrefix;
  plan.rows = 4;
  plan.length = 2;
  plan.tail = 3;
  plan.missing = plan.cached_rows = 2;
  EXPECT_EQ(cut.Problem(plan), nullptr);
  const Splice splice = cut.SpliceOf(plan);
  EXPECT_EQ(splice.rows, 2u);
  EXPECT_EQ(splice.found, 4u);
  EXPECT_EQ(splice.computed, 7u);
  EXPECT_EQ(splice.complete, 11u);
  ASSERT_EQ(splice.runs.size(), 2u);
  EXPECT_TRUE(splice.runs[0].found);
  plan.tail = 4;
  EXPECT_NE(cut.Problem(plan), nullptr);
}

TEST(UnitPlace, TakesBlocksOfRowsApartAndTogether) {
  const UnitPlace place(1, 2, 4);  // [heads, rows, positions, n]
  EXPECT_EQ(place.UnitDims({2, 3, 10, 5}), (Dims{2, 4, 5}));
  EXPECT_EQ(place.Joined({2, 4, 5}, {3, 2}), (Dims{2, 3, 8, 5}));
  EXPECT_EQ(place.splice().number(), 2);
  const auto is_unit = [](const UnitPlace& of, const Dims& dims) {
    return of.IsUnit(dims, dims.size());
  };
  EXPECT_TRUE(is_unit(place, {2, 4, 5}));
  EXPECT_FALSE(is_unit(place, {4, 2, 5}));
  EXPECT_FALSE(is_unit(place, {2}));
  EXPECT_TRUE(is_unit(UnitPlace(2, 0, 4), {4, 2}));
  EXPECT_TRUE(is_unit(UnitPlace(-1, 1, 4), {2, 4}));
  EXPECT_FALSE(is_unit(UnitPlace(-1, 1, 4), {4, 2}));
  EXPECT_EQ(place.Own(5, 3), 5u);
  EXPECT_EQ(UnitPlace(0, -1, 4).Own(5, 3), 1u);
  EXPECT_EQ(UnitPlace(-1, 0, 4).Own(5, 3), 2u);
  EXPECT_EQ(UnitPlace(-1, -1, 4).Own(5, 3), 0u);
  EXPECT_FALSE(UnitPlace(0, -1, 4).splice().divides());
}

// The numbers of a tensor's elements that belong to a block of a row, in order.
std::vector<int> Slowly(const Dims& dims, std::size_t rows, std::size_t positions, std::size_t row,
                        std::size_t begin, std::size_t end) {
  std::vector<int> numbers;
  for (std::size_t at = 0; at < ElementCount(dims); ++at) {
    std::size_t rest = at;
    Dims place = dims;
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      place[axis] = static_cast<std::int64_t>(rest % static_cast<std::size_t>(dims[axis]));
      rest /= static_cast<std::size_t>(dims[axis]);
    }
    const auto position = static_cast<std::size_t>(place[positions]);
    if (static_cast<std::size_t>(place[rows]) == row && position >= begin && position < end) {
      numbers.push_back(static_cast<int>(at));
    }
  }
  return numbers;
}

std::vector<int> Gathered(std::size_t size, const Window& window, std::size_t unit) {
  std::vector<std::byte> tensor(size);
  for (std::size_t i = 0; i < size; ++i) tensor[i] = static_cast<std::byte>(i);
  std::vector<std::byte> dense(window.unit_bytes());
  CopyUnitBytes({tensor.data(), window, unit}, {dense.data(), window.Dense(), 0}, 0, dense.size());
  std::vector<std::byte> pieces;
  ForEachPiece(tensor.data(), window, unit, 0, window.unit_bytes(),
               [&](const std::byte* piece, std::size_t n) {
                 pieces.insert(pieces.end(), piece, piece + n);
               });
  EXPECT_EQ(pieces, dense);
  std::vector<int> numbers;
  for (const std::byte byte : dense) numbers.push_back(static_cast<int>(byte));
  return numbers;
}

// The gathered blocks of every layout, put back into a tensor of other bytes, fill exactly their
// own places.
TEST(Window, FindsBlocksOfRowsInEveryLayout) {
  int layouts = 0;
  for (const Dims& dims : {Dims{2, 3, 5, 2}, Dims{3, 5, 2, 2}, Dims{5, 3, 2, 4}, Dims{1, 3, 5, 4},
                           Dims{3, 1, 5, 4}, Dims{2, 2, 1, 5}, Dims{5, 2, 3, 1}}) {
    for (std::size_t rows = 0; rows < 4; ++rows) {
      for (std::size_t positions = 0; positions < 4; ++positions) {
        if (rows == positions) continue;
        for (const std::size_t block : {1, 2}) {
          const Window window = UnitPlace(static_cast<std::int64_t>(rows),
                                          static_cast<std::int64_t>(positions), block)
                                    .In(ElementType::kInt8, dims);
          const std::size_t length = static_cast<std::size_t>(dims[positions]) / block;
          ASSERT_EQ(window.units, static_cast<std::size_t>(dims[rows]) * length);
          for (std::size_t unit = 0; unit < window.units; ++unit) {
            const std::size_t begin = unit % length * block;
            ASSERT_EQ(Gathered(ElementCount(dims), window, unit),
                      Slowly(dims, rows, positions, unit / length, begin, begin + block));
          }
          ++layouts;
        }
      }
    }
  }
  EXPECT_EQ(layouts, 7 * 12 * 2);
}

}  // namespace
}  // namespace actcache
