// Whether what a region has computed is what an entry holds, piece by piece.
#include "units/computed_units.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "store_testing.h"
#include "units/cut.h"

namespace actcache {
namespace {

constexpr double kDifferent = std::numeric_limits<double>::infinity();
constexpr std::size_t kUnits = 3;

// Two live-outs: [4, N, 2] of floats, in which a unit is four pieces, and [N, 5] of bytes.
class ComputedUnitsTest : public testing::Test {
 protected:
  ComputedUnitsTest() {
    for (std::size_t i = 0; i < floats_.size(); ++i) floats_[i] = 1.0F + static_cast<float>(i);
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::uint8_t>(i + 1);
    computed_ = {View(ElementType::kFloat, {4, kUnits, 2}, floats_.data()),
                 View(ElementType::kUint8, {kUnits, 5}, bytes_.data())};
  }

  static TensorView View(ElementType type, const Dims& dims, const void* data) {
    TensorView view;
    view.type = type;
    view.dims = dims;
    view.elements = ElementCount(dims);
    view.bytes = ByteCount(type, dims);
    view.data = static_cast<const std::byte*>(data);
    return view;
  }

  // An entry of the unit as it is now.
  EntryRef Kept(std::size_t unit) {
    const ComputedUnits units(cut_, computed_);
    return Entry(units.specs(unit), [&](Draft* draft) {
      const Parallel parallel(nullptr, nullptr);
      units.CopyTo(
          1, [&](std::size_t) { return unit; },
          [&](std::size_t, std::size_t i) { return static_cast<std::byte*>(draft->data(i)); },
          parallel);
    });
  }
  template <typename Fill>
  EntryRef Entry(const std::vector<TensorSpec>& specs, const Fill& fill) {
    Offer offer = testing_support::OfferOf(++number_, specs);
    Draft draft = store_.Reserve(offer);
    fill(&draft);
    EXPECT_TRUE(store_.Publish(std::move(draft)));
    return store_.Peek(offer.key);
  }
  double Difference(const EntryRef& entry, std::size_t unit) const {
    return ComputedUnits(cut_, computed_).DifferenceFrom(*entry, unit);
  }

  Store store_{std::size_t{1} << 20};
  std::uint64_t number_ = 0;
  std::vector<float> floats_ = std::vector<float>(4 * kUnits * 2);
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(kUnits * 5);
  std::vector<TensorView> computed_;
  const RowCut cut_{{0}, {1, 0}};
};

TEST_F(ComputedUnitsTest, EachUnitIsItsOwnEntry) {
  for (std::size_t kept = 0; kept < kUnits; ++kept) {
    const EntryRef entry = Kept(kept);
    for (std::size_t unit = 0; unit < kUnits; ++unit) {
      EXPECT_EQ(Difference(entry, unit) == 0, unit == kept) << kept << " " << unit;
    }
  }
}

TEST_F(ComputedUnitsTest, EveryElementCounts) {
  const EntryRef entry = Kept(1);
  for (std::size_t piece = 0; piece < 4; ++piece) {
    for (std::size_t i = 0; i < 2; ++i) {
      float& element = floats_[(piece * kUnits + 1) * 2 + i];
      element += 0.5F;
      EXPECT_GT(Difference(entry, 1), 0) << piece;
      element -= 0.5F;
    }
  }
  for (std::size_t i = 0; i < 5; ++i) {
    bytes_[5 + i] ^= 1;
    EXPECT_GT(Difference(entry, 1), 0) << i;
    bytes_[5 + i] ^= 1;
  }
  EXPECT_EQ(Difference(entry, 1), 0);
}

TEST_F(ComputedUnitsTest, AnEntryOfAnotherKindDiffers) {
  const std::vector<TensorSpec> own = ComputedUnits(cut_, computed_).specs(0);
  const auto zeros = [](Draft* draft) {
    for (std::size_t i = 0; i < draft->tensor_count(); ++i) {
      std::memset(draft->data(i), 0, draft->bytes(i));
    }
  };
  std::fill(floats_.begin(), floats_.end(), 0.0F);
  std::fill(bytes_.begin(), bytes_.end(), std::uint8_t{0});
  EXPECT_EQ(Difference(Entry(own, zeros), 0), 0);
  std::vector<std::vector<TensorSpec>> others(4, own);
  others[0].pop_back();
  others[1][0].dtype = static_cast<std::int32_t>(ElementType::kInt32);
  others[2][0].dims = {8, 1};
  others[3][1].dims = {6};
  others[3][1].bytes = 6;
  for (const std::vector<TensorSpec>& specs : others) {
    EXPECT_EQ(Difference(Entry(specs, zeros), 0), kDifferent);
  }
}

}  // namespace
}  // namespace actcache
