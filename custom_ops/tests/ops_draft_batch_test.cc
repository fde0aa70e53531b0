// Entries that are filled together: each holds its own unit, in the order in which they came.
#include "ops/draft_batch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "store_testing.h"
#include "units/cut.h"

namespace actcache {
namespace {

using testing_support::KeyNumber;
using testing_support::OfferOf;

constexpr std::size_t kUnits = 40;
constexpr std::size_t kWidth = 300;

// Live-outs [2, N, 300] and [N, 300] of bytes; what they hold tells unit and place.
class DraftBatchTest : public testing::Test {
 protected:
  static TensorView View(const Dims& dims, const std::vector<std::uint8_t>& values) {
    TensorView view;
    view.type = ElementType::kUint8;
    view.dims = dims;
    view.elements = view.bytes = values.size();
    view.data = reinterpret_cast<const std::byte*>(values.data());
    return view;
  }

  // The key of a unit is its number.
  void Add(DraftBatch* batch, std::size_t unit) {
    Draft draft = store_.Reserve(OfferOf(unit, units().specs(0)));
    ASSERT_TRUE(draft);
    batch->Add(unit, std::move(draft));
  }
  bool Holds(std::size_t unit) {
    const EntryRef entry = store_.Peek(KeyNumber(unit));
    return entry && units().DifferenceFrom(*entry, unit) == 0;
  }
  const ComputedUnits& units() const { return units_; }

  Store store_{std::size_t{1} << 20};

 private:
  static std::vector<std::uint8_t> Numbers(std::size_t count, std::size_t modulus) {
    std::vector<std::uint8_t> numbers(count);
    for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::uint8_t>(i % modulus);
    return numbers;
  }

  const std::vector<std::uint8_t> wide_ = Numbers(2 * kUnits * kWidth, 251);
  const std::vector<std::uint8_t> flat_ = Numbers(kUnits * kWidth, 241);
  const std::vector<TensorView> computed_ = {View({2, kUnits, kWidth}, wide_),
                                             View({kUnits, kWidth}, flat_)};
  const RowCut cut_{{0}, {1, 0}};
  const ComputedUnits units_{cut_, computed_};
};

using Done = std::vector<std::pair<std::size_t, bool>>;

Done Publish(DraftBatch* batch) {
  Done done;
  batch->Publish([&](std::size_t unit, bool published) { done.emplace_back(unit, published); });
  return done;
}

TEST_F(DraftBatchTest, EachEntryHoldsItsUnit) {
  const Parallel parallel;
  DraftBatch batch(store_, units(), parallel);
  const std::vector<std::size_t> some = {7, 0, 39, 12};
  for (const std::size_t unit : some) Add(&batch, unit);
  EXPECT_FALSE(store_.Peek(KeyNumber(7))) << "nobody finds a draft";
  EXPECT_EQ(Publish(&batch), (Done{{7, true}, {0, true}, {39, true}, {12, true}}));
  for (const std::size_t unit : some) EXPECT_TRUE(Holds(unit)) << unit;
  EXPECT_FALSE(Holds(1));
  EXPECT_TRUE(Publish(&batch).empty());
  Add(&batch, 1);
  EXPECT_EQ(Publish(&batch), (Done{{1, true}}));
  EXPECT_TRUE(Holds(1));
}

TEST_F(DraftBatchTest, IsFullAtASmallShareOfTheRoom) {
  const Parallel parallel;
  const auto added_until_full = [&] {
    DraftBatch batch(store_, units(), parallel);
    std::size_t unit = 0;
    for (; !batch.full() && unit < kUnits; ++unit) Add(&batch, unit);
    return unit;
  };
  EXPECT_EQ(added_until_full(), kUnits);
  EXPECT_EQ(store_.stats().bytes, 0u) << "what was not published gives its bytes back";
  store_.SetNamespaceQuota(std::size_t{1} << 17);
  EXPECT_EQ(added_until_full(), (std::size_t{1} << 13) / units().unit_bytes(0) + 1);
  store_.SetNamespaceQuota(0);
  store_.SetBudget(std::size_t{1} << 16);
  EXPECT_EQ(added_until_full(), (std::size_t{1} << 12) / units().unit_bytes(0) + 1);
}

TEST_F(DraftBatchTest, SaysWhatWasNotPublished) {
  const Parallel parallel;
  DraftBatch batch(store_, units(), parallel);
  for (const std::size_t unit : {1, 2}) Add(&batch, unit);
  ASSERT_EQ(testing_support::Put(&store_, 1, 10, 1), Rejection::kNone);
  EXPECT_EQ(Publish(&batch), (Done{{1, false}, {2, true}}));
  Add(&batch, 3);
  store_.Invalidate({}, 0);
  EXPECT_EQ(Publish(&batch), (Done{{3, false}}));
  EXPECT_EQ(store_.stats().bytes, 0u);
}

}  // namespace
}  // namespace actcache
