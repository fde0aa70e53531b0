// The units of calls, and how they lie in tensors.
#include "units/cut.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "units/runs.h"

namespace actcache {
namespace {

TensorView Shape(const Dims& dims, ElementType type = ElementType::kFloat) {
  TensorView view;
  view.type = type;
  view.dims = dims;
  return view;
}

// One unit for the reason `why`, or `count` rows.
void ExpectUnits(const Units& units, std::size_t count, OneUnit why = OneUnit::kNone) {
  EXPECT_EQ(units.count, count);
  EXPECT_EQ(units.why, why);
  EXPECT_EQ(units.cut->kind(), why == OneUnit::kNone ? PlanKind::kRow : PlanKind::kWhole);
}

TEST(Cut, DividesByRowsWhereTheProofApplies) {
  // The first input has one position more than the second.
  const Conditions conditions{{2, -1, 0}, {{1, {{0, 1}, {1, 0}}}}};
  const RowCut cut({0, 1, -1}, {1}, conditions);
  const TensorView scalar = Shape({});
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({5, 4}), scalar}), 4);
  ExpectUnits(cut.UnitsOf({Shape({0, 6}), Shape({5, 0}), scalar}), 0);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({5, 4, 1}), scalar}), 4);
  ExpectUnits(cut.UnitsOf({Shape({4, 6, 1}), Shape({5, 4}), scalar}), 1, OneUnit::kRank);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({5, 4}), Shape({1})}), 1, OneUnit::kRank);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({5}), scalar}), 1, OneUnit::kNoAxis);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}, ElementType::kInt4), Shape({5, 4}), scalar}), 1,
              OneUnit::kPartBytes);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({5, 1}), scalar}), 1, OneUnit::kUnequal);
  ExpectUnits(cut.UnitsOf({Shape({4, 6}), Shape({6, 4}), scalar}), 1, OneUnit::kSizes);
  constexpr auto kMost = static_cast<std::int64_t>(kMaxPlanRows);
  ExpectUnits(cut.UnitsOf({Shape({kMost, 6}), Shape({5, kMost}), scalar}), kMaxPlanRows);
  ExpectUnits(cut.UnitsOf({Shape({kMost + 1, 6}), Shape({5, kMost + 1}), scalar}), 1,
              OneUnit::kTooMany);
  ExpectUnits(cut.whole().UnitsOf({scalar, scalar, scalar}), 1, OneUnit::kByCalls);
}

TEST(Cut, DividesOnlyWhereAllSizesAreAsTheProofHasThem) {
  // The second axis is as long as the third; the third is as long as the fourth.
  const Conditions conditions{{}, {{0, {{0, 1}, {0, 2}}}, {0, {{0, 2}, {0, 3}}}}};
  const RowCut cut({0}, {0}, conditions);
  ExpectUnits(cut.UnitsOf({Shape({5, 2, 2, 2})}), 5);
  ExpectUnits(cut.UnitsOf({Shape({5, 2, 2, 3})}), 1, OneUnit::kSizes);
  ExpectUnits(cut.UnitsOf({Shape({5, 3, 2, 2})}), 1, OneUnit::kSizes);
}

TEST(Cut, ComputesNoFewerUnitsThanTheRegionAsksFor) {
  const RowCut cut({0}, {0}, {}, {3, 3});
  EXPECT_EQ(cut.Computed(1, 10), 3u);
  EXPECT_EQ(cut.Computed(1, 2), 2u);
  EXPECT_EQ(cut.Computed(5, 10), 5u);
  EXPECT_EQ(CountOf(cut.ToCompute({&cut, 10}, {4})), 3u);
  EXPECT_EQ(CountOf(cut.ToCompute({&cut, 2}, {1})), 2u);
  EXPECT_EQ(CountOf(cut.whole().ToCompute({&cut.whole(), 1}, {0})), 1u);
  EXPECT_EQ(cut.CountClass(2), 2u);
  EXPECT_EQ(cut.CountClass(3), cut.CountClass(30));
}

TEST(Cut, TellsASingleUnitApartWithoutComputingAnother) {
  const RowCut fills_up_itself({0}, {0}, {}, {2, 1});
  EXPECT_EQ(fills_up_itself.Computed(1, 16), 1u);
  EXPECT_NE(fills_up_itself.CountClass(1), fills_up_itself.CountClass(16));
  EXPECT_EQ(fills_up_itself.CountClass(2), fills_up_itself.CountClass(16));
}

TEST(UnitAxis, TakesShapesApartAndTogether) {
  const UnitAxis middle(1);
  EXPECT_EQ(middle.UnitsIn({2, 5, 3}), 5u);
  EXPECT_EQ(middle.UnitDims({2, 5, 3}), (Dims{2, 3}));
  EXPECT_EQ(middle.Joined({2, 3}, 7), (Dims{2, 7, 3}));
  EXPECT_EQ(middle.WithUnits({2, 5, 3}, 1), (Dims{2, 1, 3}));
  EXPECT_TRUE(middle.IsIn(Dims{2, 5}));
  EXPECT_FALSE(middle.IsIn(Dims{2}));
  const UnitAxis none;
  EXPECT_FALSE(none.divides());
  EXPECT_TRUE(none.IsIn(Dims{}));
  EXPECT_EQ(none.UnitsIn({2, 5}), 1u);
  EXPECT_EQ(none.UnitDims({2, 5}), (Dims{2, 5}));
  EXPECT_EQ(none.Joined({2, 5}, 1), (Dims{2, 5}));
}

TEST(UnitAxis, SaysWhereUnitsLie) {
  const Window rows = UnitAxis(1).In(ElementType::kInt64, {2, 5, 3});
  EXPECT_EQ(rows.units, 5u);
  EXPECT_EQ(rows.unit_bytes(), 2 * 3 * 8u);
  EXPECT_EQ(rows.offset(4, 1), (5 * 3 + 4 * 3) * 8u);
  EXPECT_EQ(UnitAxis(0).In(ElementType::kString, {4, 3}).unit_bytes(), 3u);  // elements
  EXPECT_EQ(UnitAxis().In(ElementType::kInt4, {3}).unit_bytes(), 2u);
  EXPECT_EQ(UnitAxis().In(ElementType::kString, {2, 3}).unit_bytes(), 6u);
}

// Bytes 0, 1, 2, ... of a tensor, one unit gathered.
std::vector<int> Gathered(std::size_t size, const Window& window, std::size_t unit) {
  std::vector<std::byte> tensor(size);
  for (std::size_t i = 0; i < size; ++i) tensor[i] = static_cast<std::byte>(i);
  std::vector<std::byte> dense(window.unit_bytes());
  CopyUnitBytes({tensor.data(), window, unit}, {dense.data(), window.Dense(), 0}, 0, dense.size());
  std::vector<int> numbers;
  for (const std::byte byte : dense) numbers.push_back(static_cast<int>(byte));
  return numbers;
}

TEST(Window, HasUnitsOfSeveralPositions) {
  // [2, 5] in blocks of 2 positions; the fifth position is in none.
  const Window blocks = Window::Along({2, 5}, 1, 1, 2);
  EXPECT_EQ(blocks.units, 2u);
  EXPECT_EQ(Gathered(10, blocks, 0), (std::vector<int>{0, 1, 5, 6}));
  EXPECT_EQ(Gathered(10, blocks, 1), (std::vector<int>{2, 3, 7, 8}));
}

TEST(Window, MayOverlapItsNeighbours) {
  // [2, 5], one position with those beside it, from the second on.
  const Window halo{3, 2, 3, 5, 1};
  EXPECT_EQ(Gathered(10, halo, 0), (std::vector<int>{0, 1, 2, 5, 6, 7}));
  EXPECT_EQ(Gathered(10, halo, 2), (std::vector<int>{2, 3, 4, 7, 8, 9}));
}

}  // namespace
}  // namespace actcache
