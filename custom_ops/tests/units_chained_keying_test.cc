// What the key of a block of positions has to depend on, and what it must not.
#include "units/chained_keying.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "units/prefix_cut.h"

namespace actcache {
namespace {

const ElementTypes kTypes{ElementType::kFloat};

TensorView Tensor(ElementType type, const Dims& dims, const void* data) {
  TensorView view;
  view.type = type;
  view.dims = dims;
  view.elements = ElementCount(dims);
  view.bytes = ByteCount(type, dims);
  view.data = static_cast<const std::byte*>(data);
  return view;
}

using Words = std::vector<std::int64_t>;

TensorView Ids(const Words& words, std::int64_t rows = 1) {
  return Tensor(ElementType::kInt64, {rows, static_cast<std::int64_t>(words.size()) / rows},
                words.data());
}

struct Region {
  PrefixAxes axes{{0}, {1}, {0}, {1}};
  std::size_t block = 1;
  KeyIdentity identity{"f1", ""};
  HashKind hash = HashKind::kBlake3;

  std::vector<Key> KeysOf(const std::vector<TensorView>& inputs,
                          const std::optional<std::string>& name_space = std::nullopt) const {
    const PrefixCut cut(axes, block, 2);
    const Keys keys = ChainedKeying(hash, identity, cut, kTypes)
                          .KeysOf(cut.UnitsOf(inputs), name_space, inputs, Parallel(), nullptr);
    return {keys.begin(), keys.end()};
  }
};

// How many keys two calls begin with together.
std::size_t Shared(const std::vector<Key>& a, const std::vector<Key>& b) {
  std::size_t count = 0;
  while (count < std::min(a.size(), b.size()) && a[count] == b[count]) ++count;
  for (std::size_t i = count; i < a.size(); ++i) {
    EXPECT_EQ(std::count(b.begin(), b.end(), a[i]), 0) << "equal keys behind different beginnings";
  }
  return count;
}

class ChainedKeys : public ::testing::TestWithParam<HashKind> {
 protected:
  ChainedKeys() { region_.hash = GetParam(); }
  Region region_;
};

TEST_P(ChainedKeys, CoverWhatStandsBeforeAndNothingBehind) {
  const Words words = {5, 6, 7, 5, 6, 7};
  const auto keys = region_.KeysOf({Ids(words)});
  ASSERT_EQ(keys.size(), 6u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({5, 6, 7})})), 3u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({5, 6, 7, 5, 9, 7})})), 4u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({6, 7, 5, 6, 7})})), 0u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({5, 5, 6, 7})})), 1u);
}

TEST_P(ChainedKeys, OfARowAreTheSameInEveryBatch) {
  const auto both = region_.KeysOf({Ids({1, 2, 3, 4, 5, 6}, 2)});
  const std::vector<Key> second(both.begin() + 3, both.end());
  EXPECT_EQ(second, region_.KeysOf({Ids({4, 5, 6})}));
  Region whole = region_;  // without a row axis the batch is one row
  whole.axes = {{-1}, {1}, {-1}, {1}};
  const auto batch = whole.KeysOf({Ids({1, 2, 3, 4, 5, 6}, 2)});
  EXPECT_EQ(batch.size(), 3u);
  EXPECT_EQ(Shared(batch, whole.KeysOf({Ids({1, 2, 3, 4, 9, 6}, 2)})), 1u);
  EXPECT_EQ(Shared(batch, whole.KeysOf({Ids({1, 2, 3})})), 0u);
}

TEST_P(ChainedKeys, CoverBlocksAsAWhole) {
  region_.block = 3;
  const auto keys = region_.KeysOf({Ids({1, 2, 3, 4, 5, 6, 7})});
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({1, 2, 3, 4, 5, 6, 8, 9, 9})})), 2u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({1, 2, 3, 4, 5, 7})})), 1u);
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids({1, 0, 3, 4, 5, 6})})), 0u);
  Region other = region_;
  other.block = 1;
  EXPECT_EQ(Shared(other.KeysOf({Ids({1, 2, 3})}), keys), 0u);
}

TEST_P(ChainedKeys, CoverWhatAllPositionsRead) {
  region_.axes = {{0, 0, -1}, {1, -1, -1}, {0}, {1}};
  const Words words = {1, 2, 3, 4};
  std::vector<float> own = {1, 2, 3, 4};  // two for each row
  std::vector<float> all = {1, 2, 3};
  const auto keys = [&] {
    return region_.KeysOf({Ids(words, 2), Tensor(ElementType::kFloat, {2, 2}, own.data()),
                           Tensor(ElementType::kFloat, {3}, all.data())});
  };
  const auto before = keys();
  own[3] = 5;
  EXPECT_EQ(Shared(before, keys()), 2u);  // the second row's alone differ
  own[3] = 4;
  own[0] = 5;
  const auto first = keys();
  EXPECT_NE(first[0], before[0]);
  EXPECT_EQ(first[2], before[2]);
  own[0] = 1;
  all[2] = 4;
  EXPECT_EQ(Shared(before, keys()), 0u);
}

TEST_P(ChainedKeys, CoverPositionsThatAllRowsShare) {
  region_.axes = {{0, -1}, {1, 0}, {0}, {1}};
  const Words words = {1, 2, 3, 1, 2, 3};
  Words places = {0, 1, 2};
  const auto keys = [&] {
    return region_.KeysOf({Ids(words, 2), Tensor(ElementType::kInt64, {3}, places.data())});
  };
  const auto before = keys();
  EXPECT_EQ(before[0], before[3]);
  places[1] = 7;
  const auto after = keys();
  EXPECT_EQ(after[3], before[3]);
  EXPECT_NE(after[4], before[4]);
  EXPECT_EQ(after[4], after[1]);
}

TEST_P(ChainedKeys, CoverIdentityTypesAxesAndSizes) {
  const Words words = {1, 2, 3, 4};
  const auto keys = region_.KeysOf({Ids(words)});
  const auto differs = [&](const Region& other) {
    return Shared(keys, other.KeysOf({Ids(words)})) == 0;
  };
  for (const KeyIdentity& identity :
       {KeyIdentity{"f2", ""}, KeyIdentity{"f1", "n"}, KeyIdentity{"f1", "", true},
        KeyIdentity{"f1", "", false, "s"}}) {
    Region other = region_;
    other.identity = identity;
    EXPECT_TRUE(differs(other));
  }
  Region other = region_;
  other.axes.output_rows = {1};
  other.axes.output_positions = {0};
  EXPECT_TRUE(differs(other));
  EXPECT_EQ(Shared(keys, region_.KeysOf({Ids(words)}, "n")), 0u);
  const auto of = [&](ElementType type, Dims dims) {
    return region_.KeysOf({Tensor(type, dims, words.data())});
  };
  EXPECT_EQ(Shared(keys, of(ElementType::kUint64, {1, 4})), 0u);
  EXPECT_EQ(Shared(keys, of(ElementType::kInt64, {1, 4, 1})), 0u);
  EXPECT_EQ(Shared(of(ElementType::kInt32, {1, 4, 2}), of(ElementType::kInt32, {1, 8, 1})), 0u);
}

TEST_P(ChainedKeys, OfLargeBlocksSeeEveryByte) {
  constexpr std::size_t kBytes = kBigPart + kSegment + 5;
  std::vector<std::uint8_t> bytes(3 * kBytes, 1);
  const auto keys = [&] {
    return region_.KeysOf(
        {Tensor(ElementType::kUint8, {1, 3, static_cast<std::int64_t>(kBytes)}, bytes.data())});
  };
  const auto before = keys();
  ASSERT_EQ(before.size(), 3u);
  bytes[2 * kBytes - 1] = 2;
  EXPECT_EQ(Shared(before, keys()), 1u);
}

TEST_P(ChainedKeys, TellStringsApart) {
  const auto strings = [&](const std::vector<std::string>& texts) {
    TensorView view;
    view.type = ElementType::kString;
    view.dims = {1, static_cast<std::int64_t>(texts.size())};
    view.elements = texts.size();
    StringContent content;
    for (const std::string& text : texts) {
      content.offsets.push_back(content.bytes.size());
      content.bytes.insert(content.bytes.end(), text.begin(), text.end());
    }
    content.offsets.push_back(content.bytes.size());
    view.strings = content;
    return region_.KeysOf({view});
  };
  EXPECT_EQ(Shared(strings({"a", "bc", "d"}), strings({"a", "b", "cd"})), 1u);
}

INSTANTIATE_TEST_SUITE_P(Hashes, ChainedKeys,
                         ::testing::Values(HashKind::kBlake3, HashKind::kXxh3));

}  // namespace
}  // namespace actcache
