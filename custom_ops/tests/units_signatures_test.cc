// Signatures of rows: different ones prove different rows; equal rows have equal ones wherever they
// stand.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "units/unit_signatures.h"

namespace actcache {
namespace {

// Keeps the elements of a float tensor and gives views of it.
struct Tensor {
  Tensor(Dims dims_in, std::vector<float> values_in)
      : dims(std::move(dims_in)), values(std::move(values_in)) {
    values.resize(ElementCount(dims));
  }

  TensorView view() const {
    TensorView view;
    view.type = ElementType::kFloat;
    view.dims = dims;
    view.elements = values.size();
    view.bytes = values.size() * sizeof(float);
    view.data = reinterpret_cast<const std::byte*>(values.data());
    return view;
  }

  Dims dims;
  std::vector<float> values;
};

TensorView Strings(const Dims& dims, const std::vector<std::string>& texts) {
  TensorView view;
  view.type = ElementType::kString;
  view.dims = dims;
  view.elements = texts.size();
  view.strings.emplace();
  view.strings->offsets.push_back(0);
  for (const std::string& text : texts) {
    view.strings->bytes.insert(view.strings->bytes.end(), text.begin(), text.end());
    view.strings->offsets.push_back(view.strings->bytes.size());
  }
  return view;
}

// How many of the rows were seen by `filter`, in one namespace.
std::size_t Note(SignatureFilter& filter, const std::vector<TensorView>& inputs, const Axes& axes,
                 std::size_t rows, std::uint32_t name_space = 1) {
  const RowCut cut(axes, {});
  return NoteUnits(filter, name_space, {&cut, rows}, inputs);
}

std::size_t BytesOf(const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows) {
  const RowCut cut(axes, {});
  return UnitBytes({&cut, rows}, inputs);
}

TEST(UnitSignatures, EqualRowsMeetInAnyPlaceOfAnyBatch) {
  SignatureFilter filter;
  const Tensor batch({3, 2}, {1, 2, 3, 4, 1, 2});
  EXPECT_EQ(Note(filter, {batch.view()}, {0}, 3), 1u);  // the third is the first
  const Tensor other({2, 2}, {5, 6, 3, 4});
  EXPECT_EQ(Note(filter, {other.view()}, {0}, 2), 1u);
  const Tensor columns({2, 2}, {7, 3, 8, 4});  // rows on axis 1: (7, 8) and (3, 4)
  EXPECT_EQ(Note(filter, {columns.view()}, {1}, 2), 1u);
}

TEST(UnitSignatures, EveryInputCounts) {
  SignatureFilter filter;
  const Tensor rows({2, 1}, {1, 2});
  const Tensor shared({3}, {1, 2, 3});
  const Tensor changed({3}, {1, 2, 4});
  EXPECT_EQ(Note(filter, {rows.view(), shared.view()}, {0, -1}, 2), 0u);
  EXPECT_EQ(Note(filter, {rows.view(), shared.view()}, {0, -1}, 2), 2u);
  EXPECT_EQ(Note(filter, {rows.view(), changed.view()}, {0, -1}, 2), 0u);
  EXPECT_EQ(Note(filter, {rows.view(), rows.view()}, {0, 0}, 2), 0u);
}

TEST(UnitSignatures, NamespacesNeverMeet) {
  SignatureFilter filter;
  const Tensor rows({2, 1}, {1, 2});
  EXPECT_EQ(Note(filter, {rows.view()}, {0}, 2, 1), 0u);
  EXPECT_EQ(Note(filter, {rows.view()}, {0}, 2, 2), 0u);
  EXPECT_EQ(Note(filter, {rows.view()}, {0}, 2, 1), 2u);
}

TEST(UnitSignatures, AWholeCallIsOneRow) {
  SignatureFilter filter;
  const Tensor one({2, 2}, {1, 2, 3, 4});
  const Tensor two({2, 2}, {3, 4, 1, 2});
  EXPECT_EQ(Note(filter, {one.view()}, {-1}, 1), 0u);
  EXPECT_EQ(Note(filter, {two.view()}, {-1}, 1), 0u);
  EXPECT_EQ(Note(filter, {one.view()}, {-1}, 1), 1u);
}

TEST(UnitSignatures, ShortRowsAreReadToTheLastByte) {
  const std::size_t size = kSampledBytes / sizeof(float);
  for (const std::size_t outer : {std::size_t{1}, std::size_t{4}}) {
    SignatureFilter filter;
    Tensor row({static_cast<std::int64_t>(outer), 1, static_cast<std::int64_t>(size / outer)}, {});
    EXPECT_EQ(Note(filter, {row.view()}, {1}, 1), 0u);
    for (const std::size_t at : {std::size_t{0}, size / 2 + 1, size - 1}) {
      row.values[at] = 1;
      EXPECT_EQ(Note(filter, {row.view()}, {1}, 1), 0u) << at;
    }
    EXPECT_EQ(Note(filter, {row.view()}, {1}, 1), 1u);
  }
}

TEST(UnitSignatures, LongRowsAreSampledFromEndToEnd) {
  const std::size_t size = 100'003;
  SignatureFilter filter;
  Tensor row({1, static_cast<std::int64_t>(size)}, {});
  EXPECT_EQ(Note(filter, {row.view()}, {0}, 1), 0u);
  for (const std::size_t at : {std::size_t{0}, size - 1}) {
    row.values[at] = 1;
    EXPECT_EQ(Note(filter, {row.view()}, {0}, 1), 0u) << at;
  }
  // A change as wide as the distance of two samples is never missed.
  const std::size_t distance = size / (kSampledPieces - 1) + 1;
  for (std::size_t begin = 0; begin + distance <= size; begin += 7'919) {
    for (std::size_t i = 0; i < distance; ++i) row.values[begin + i] += 1;
    EXPECT_EQ(Note(filter, {row.view()}, {0}, 1), 0u) << begin;
  }
  const Tensor longer({1, static_cast<std::int64_t>(size + 1)}, row.values);
  EXPECT_EQ(Note(filter, {longer.view()}, {0}, 1), 0u);
}

TEST(UnitSignatures, OfStrings) {
  SignatureFilter filter;
  EXPECT_EQ(Note(filter, {Strings({2, 2}, {"a", "bc", "ab", "c"})}, {0}, 2), 0u);
  EXPECT_EQ(Note(filter, {Strings({2, 2}, {"ab", "c", "", ""})}, {0}, 2), 1u);
  EXPECT_EQ(Note(filter, {Strings({1, 2}, {"", ""})}, {0}, 1), 1u);
}

TEST(UnitSignatures, UnitBytesCountWhatARowReads) {
  const Tensor rows({4, 8}, {});
  const Tensor shared({3}, {});
  EXPECT_EQ(BytesOf({rows.view(), shared.view()}, {0, -1}, 4), 8 * 4 + 3 * 4u);
  EXPECT_EQ(BytesOf({rows.view()}, {-1}, 1), 4 * 8 * 4u);
  EXPECT_EQ(BytesOf({Strings({2}, {"abc", "d"})}, {0}, 2), 2u);
}

}  // namespace
}  // namespace actcache
