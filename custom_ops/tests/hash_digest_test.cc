#include "hash/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

extern "C" {
#include "blake3.h"
}
#include "units/tensor_digest.h"

namespace actcache {
namespace {

TEST(Digest, IsBlake3OfFramedPartsInEveryProcess) {
  const std::string framed("\3\0\0\0\0\0\0\0abc\0\0\0\0\0\0\0\0", 19);
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, framed.data(), framed.size());
  Digest expected;
  blake3_hasher_finalize(&hasher, expected.data(), expected.size());
  EXPECT_EQ(DigestOf({"abc", ""}), expected);
}

TEST(Digest, FramesKeepPartsApart) {
  const std::set<Digest> seen{
      DigestOf({}),      DigestOf({""}),        DigestOf({"ab", "c"}), DigestOf({"a", "bc"}),
      DigestOf({"abc"}), DigestOf({"abc", ""}), DigestOf({"", "abc"}), DigestOf({"a", "b", "c"})};
  EXPECT_EQ(seen.size(), 8u);
}

TensorView Floats(const std::vector<float>& values, const Dims& dims) {
  TensorView tensor;
  tensor.type = ElementType::kFloat;
  tensor.dims = dims;
  tensor.elements = values.size();
  tensor.bytes = values.size() * sizeof(float);
  tensor.data = reinterpret_cast<const std::byte*>(values.data());
  return tensor;
}

TensorView Strings(const std::vector<std::string>& values) {
  TensorView tensor;
  tensor.type = ElementType::kString;
  tensor.dims = Dims{static_cast<std::int64_t>(values.size())};
  tensor.elements = values.size();
  StringContent content;
  for (const std::string& value : values) {
    content.offsets.push_back(content.bytes.size());
    content.bytes.insert(content.bytes.end(), value.begin(), value.end());
  }
  content.offsets.push_back(content.bytes.size());
  tensor.strings = content;
  return tensor;
}

TEST(Digest, OfATensorCoversTypeShapeAndEveryValue) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  std::set<Digest> seen;
  const auto add = [&](const TensorView& tensor) { seen.insert(DigestOfTensor(tensor)); };
  add(Floats(values, Dims{6}));
  add(Floats(values, Dims{2, 3}));
  add(Floats(values, Dims{3, 2}));
  std::vector<float> other = values;
  other.back() = 7;
  add(Floats(other, Dims{6}));
  TensorView integers = Floats(values, Dims{6});
  integers.type = ElementType::kInt32;
  add(integers);
  add(Strings({"ab", "c"}));
  add(Strings({"a", "bc"}));
  EXPECT_EQ(seen.size(), 7u);
  const std::vector<float> copy = values;
  EXPECT_EQ(DigestOfTensor(Floats(values, Dims{6})), DigestOfTensor(Floats(copy, Dims{6})));
}

}  // namespace
}  // namespace actcache
