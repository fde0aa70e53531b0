// Who replaced a weight, and when: what its sample and its digest tell.
#include "ops/weight_sample.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "units/tensor_digest.h"

namespace actcache {
namespace {

using Floats = std::vector<float>;

TensorView View(const Floats& values, ElementType type = ElementType::kFloat) {
  TensorView tensor;
  tensor.type = type;
  tensor.dims = Dims{static_cast<std::int64_t>(values.size())};
  tensor.elements = values.size();
  tensor.bytes = values.size() * sizeof(float);
  tensor.data = reinterpret_cast<const std::byte*>(values.data());
  return tensor;
}

Floats SampleOf(const Floats& weight) { return {weight.at(1), weight.at(4), weight.at(7)}; }

WeightSample Compiled(const Floats& weight) {
  return {1, 1, 3, DigestOfTensor(View(weight)), DigestOfTensor(View(SampleOf(weight)))};
}

// What the session has, and what its branch was given when the model was loaded.
WeightOrigin Judge(const Floats& compiled, const Floats& loaded, const Floats& session) {
  const Floats sample = SampleOf(loaded);
  const TensorView view = View(session);
  return OriginOf(Compiled(compiled), View(sample), view, DigestOfTensor(view));
}

const Floats kWeight{0, 1, 2, 3, 4, 5, 6, 7, 8};
const Floats kOther{0, -1, -2, -3, -4, -5, -6, -7, -8};
const Floats kLittle{100, 1, 2, 3, 4, 5, 6, 7, 8};  // differs where no sample is taken

TEST(WeightSample, NothingIsReplaced) {
  EXPECT_EQ(Judge(kWeight, kWeight, kWeight), WeightOrigin::kLoaded);
}

TEST(WeightSample, ReplacedBeforeOrAfterTheBranchWasGivenIt) {
  EXPECT_EQ(Judge(kWeight, kOther, kOther), WeightOrigin::kLoaded);
  EXPECT_EQ(Judge(kWeight, kWeight, kOther), WeightOrigin::kTooLate);
  EXPECT_EQ(Judge(kWeight, kOther, kWeight), WeightOrigin::kTooLate);
}

TEST(WeightSample, WhatTheSampleDoesNotShowIsUnclear) {
  EXPECT_EQ(Judge(kWeight, kLittle, kLittle), WeightOrigin::kUnclear);
  EXPECT_EQ(Judge(kWeight, kWeight, kLittle), WeightOrigin::kUnclear);
}

TEST(WeightSample, OtherTypesAndSizesAreOthers) {
  const Floats sample = SampleOf(kWeight);
  const TensorView weight = View(kWeight);
  const Digest digest = DigestOfTensor(weight);
  EXPECT_EQ(OriginOf(Compiled(kWeight), View(sample, ElementType::kInt32), weight, digest),
            WeightOrigin::kTooLate);
  const Floats longer(4, 1);  // would lie behind the weight's end
  EXPECT_EQ(OriginOf(Compiled(kWeight), View(longer), weight, digest), WeightOrigin::kTooLate);
  EXPECT_EQ(OriginOf(Compiled(kWeight), View({}), weight, digest), WeightOrigin::kTooLate);
  EXPECT_EQ(OriginOf(Compiled(kWeight), View(sample), View({}), digest), WeightOrigin::kTooLate);
}

TEST(WeightSample, PlacesThatOverflowAreOutside) {
  WeightSample sample = Compiled(kWeight);
  const Floats taken = SampleOf(kWeight);
  const TensorView weight = View(kWeight);
  sample.stride = std::numeric_limits<std::size_t>::max() / 2 + 1;
  EXPECT_EQ(OriginOf(sample, View(taken), weight, DigestOfTensor(weight)), WeightOrigin::kTooLate);
  sample.first = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(OriginOf(sample, View(taken), weight, DigestOfTensor(weight)), WeightOrigin::kTooLate);
}

}  // namespace
}  // namespace actcache
