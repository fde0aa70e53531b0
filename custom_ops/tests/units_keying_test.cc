// What has to make two keys different, and what must not.
#include "units/exact_keying.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "units/key_parts.h"

namespace actcache {
namespace {

const ElementTypes kTypes{ElementType::kFloat};
const Axes kOutputAxes{0};
const KeyIdentity kIdentity{"f1", ""};

// A tensor over `data`, which the test keeps.
TensorView Tensor(ElementType type, const Dims& dims, const void* data) {
  TensorView view;
  view.type = type;
  view.dims = dims;
  view.elements = ElementCount(dims);
  view.bytes = ByteCount(type, dims);
  view.data = static_cast<const std::byte*>(data);
  return view;
}

TensorView Strings(const Dims& dims, const std::vector<std::string>& texts) {
  TensorView view;
  view.type = ElementType::kString;
  view.dims = dims;
  view.elements = texts.size();
  StringContent content;
  for (const std::string& text : texts) {
    content.offsets.push_back(content.bytes.size());
    content.bytes.insert(content.bytes.end(), text.begin(), text.end());
  }
  content.offsets.push_back(content.bytes.size());
  view.strings = content;
  return view;
}

// A call of a region that is cached by rows on `axes`; all of it is one unit if there are none.
std::vector<Key> KeysOf(const std::vector<TensorView>& inputs, const Axes& axes,
                        const KeyIdentity& identity = kIdentity, HashKind hash = HashKind::kBlake3,
                        const std::optional<std::string>& call_namespace = std::nullopt,
                        const ElementTypes& types = kTypes, std::size_t least_rows = 1,
                        const Axes& output_axes = kOutputAxes) {
  const RowCut cut(axes, output_axes, {}, {least_rows, least_rows});
  const ExactKeying keying(hash, identity, cut, types);
  const Keys keys = keying.KeysOf(cut.UnitsOf(inputs), call_namespace, inputs, Parallel(), nullptr);
  return {keys.begin(), keys.end()};
}

Key Whole(const std::vector<TensorView>& inputs, const KeyIdentity& identity = kIdentity,
          HashKind hash = HashKind::kBlake3) {
  return KeysOf(inputs, Axes(inputs.size(), -1), identity, hash)[0];
}

const std::vector<std::uint8_t> kBytes(64, 7);

TEST(Keys, SeparateTypesShapesAndRanks) {
  const std::vector<TensorView> views = {
      Tensor(ElementType::kFloat, {2, 3}, kBytes.data()),
      Tensor(ElementType::kFloat, {3, 2}, kBytes.data()),
      Tensor(ElementType::kFloat, {6}, kBytes.data()),
      Tensor(ElementType::kFloat, {1, 6}, kBytes.data()),
      Tensor(ElementType::kInt32, {2, 3}, kBytes.data()),
      Tensor(ElementType::kUint32, {2, 3}, kBytes.data()),
      Tensor(ElementType::kDouble, {3}, kBytes.data()),
      Tensor(ElementType::kFloat, {}, kBytes.data()),
      Tensor(ElementType::kFloat, {0, 3}, kBytes.data()),
      Tensor(ElementType::kFloat, {3, 0}, kBytes.data()),
  };
  std::set<std::uint64_t> seen;
  for (const TensorView& view : views) seen.insert(Whole({view}).words[0]);
  EXPECT_EQ(seen.size(), views.size());
}

TEST(Keys, SeparateFingerprintsNamespacesKindsAndHashes) {
  const std::vector<TensorView> inputs = {Tensor(ElementType::kFloat, {1, 3}, kBytes.data())};
  const Key key = Whole(inputs);
  EXPECT_EQ(key, Whole(inputs));
  EXPECT_NE(key, Whole(inputs, {"f2", ""}));
  EXPECT_NE(key, Whole(inputs, {"f1", "tenant"}));
  EXPECT_NE(key, Whole(inputs, {"", "f1"}));
  EXPECT_NE(key, Whole(inputs, kIdentity, HashKind::kXxh3));
  EXPECT_NE(key, KeysOf(inputs, {0})[0]);
  EXPECT_NE(key, KeysOf(inputs, {-1}, kIdentity, HashKind::kBlake3, std::nullopt,
                        {ElementType::kInt32})[0]);
  EXPECT_NE(key, Whole(inputs, {"f1", "", false, "options of a session"}));
}

TEST(Keys, SeparateCallsByTheirNumberOfRowsWhereARegionAsksForThat) {
  const std::vector<TensorView> one = {Tensor(ElementType::kUint8, {1, 3}, kBytes.data())};
  const std::vector<TensorView> two = {Tensor(ElementType::kUint8, {2, 3}, kBytes.data())};
  const std::vector<TensorView> three = {Tensor(ElementType::kUint8, {3, 3}, kBytes.data())};
  const auto key = [](const std::vector<TensorView>& inputs, std::size_t least_rows) {
    return KeysOf(inputs, {0}, kIdentity, HashKind::kBlake3, std::nullopt, kTypes, least_rows)[0];
  };
  EXPECT_EQ(key(one, 1), key(two, 1));
  EXPECT_NE(key(one, 2), key(two, 2));
  EXPECT_EQ(key(two, 2), key(three, 2));
  EXPECT_NE(key(two, 1), key(two, 2));
}

TEST(Keys, SeparateTheNamespacesOfCalls) {
  const std::vector<TensorView> inputs = {Tensor(ElementType::kFloat, {1, 3}, kBytes.data())};
  // Session's namespace and the call's, if calls have one.
  const auto key = [&](const char* session, const std::optional<std::string>& call) {
    return KeysOf(inputs, {-1}, {"f1", session, call.has_value()}, HashKind::kBlake3, call)[0];
  };
  EXPECT_EQ(key("", "a"), key("", "a"));
  EXPECT_EQ(key("", std::nullopt), Whole(inputs));
  const std::vector<Key> keys = {key("", std::nullopt), key("a", std::nullopt),
                                 key("", ""),           key("", "a"),
                                 key("a", ""),          key("a", "a"),
                                 key("", "ab"),         key("a", "b"),
                                 key("b", "a"),         key("", std::string("a\0", 2))};
  std::set<std::uint64_t> seen;
  for (const Key& each : keys) seen.insert(each.words[0]);
  EXPECT_EQ(seen.size(), keys.size());
}

TEST(Keys, ANamespaceCannotPassForTheDescriptionOfATensor) {
  // Frame by frame the same: a crafted namespace, the description of one string and that string;
  // the description of two strings, a crafted string and another.
  const auto described = [](std::int64_t strings) {
    const std::int64_t words[] = {static_cast<std::int64_t>(ElementType::kString), 1, -1, strings};
    return std::string(reinterpret_cast<const char*>(words), sizeof(words));
  };
  const Key crafted =
      KeysOf({Strings({1}, {"z"})}, {-1}, {"f1", "", true}, HashKind::kBlake3, described(2))[0];
  EXPECT_NE(crafted, Whole({Strings({2}, {described(1), "z"})}));
}

TEST(Keys, FrameEveryPart) {
  // The boundary between two tensors, and between two strings, is part of the key.
  const TensorView one = Tensor(ElementType::kUint8, {1}, kBytes.data());
  const TensorView two = Tensor(ElementType::kUint8, {2}, kBytes.data());
  EXPECT_NE(Whole({one, two}), Whole({two, one}));
  EXPECT_NE(Whole({Strings({2}, {"ab", "c"})}), Whole({Strings({2}, {"a", "bc"})}));
  EXPECT_NE(Whole({Strings({2}, {"", "a"})}), Whole({Strings({2}, {"a", ""})}));
  EXPECT_NE(Whole({Strings({1}, {std::string("a\0b", 3)})}), Whole({Strings({1}, {"a"})}));
}

TEST(Keys, OfARowDependOnTheRowAlone) {
  const std::uint8_t batch[] = {1, 2, 3, 4, 5, 6, 1, 2};
  const auto keys = KeysOf({Tensor(ElementType::kUint8, {4, 2}, batch)}, {0});
  EXPECT_EQ(keys[0], keys[3]);
  EXPECT_NE(keys[0], keys[1]);
  // The same row in another batch, at another place.
  const std::uint8_t other[] = {9, 9, 3, 4};
  EXPECT_EQ(keys[1], KeysOf({Tensor(ElementType::kUint8, {2, 2}, other)}, {0})[1]);
  // The axis is part of the key: [2 rows of 1x2] and [2 rows of 2x1] have equal bytes here.
  const std::uint8_t equal[] = {1, 1, 1, 1};
  EXPECT_NE(KeysOf({Tensor(ElementType::kUint8, {2, 2}, equal)}, {0})[0],
            KeysOf({Tensor(ElementType::kUint8, {2, 2}, equal)}, {1})[0]);
}

TEST(Keys, OfRowsAreGatheredAlongOtherAxes) {
  // [2, 3]: columns (1, 4), (2, 5), (1, 4).
  const std::uint8_t batch[] = {1, 2, 1, 4, 5, 4};
  const auto keys = KeysOf({Tensor(ElementType::kUint8, {2, 3}, batch)}, {1});
  EXPECT_EQ(keys[0], keys[2]);
  EXPECT_NE(keys[0], keys[1]);
  const auto strings = KeysOf({Strings({2, 3}, {"a", "b", "a", "c", "c", "c"})}, {1});
  EXPECT_EQ(strings[0], strings[2]);
  EXPECT_NE(strings[0], strings[1]);
}

TEST(Keys, OfRowsCoverTheTensorsWithoutRows) {
  const std::uint8_t batch[] = {1, 2};
  const std::uint8_t shared_a[] = {1, 2};
  const std::uint8_t shared_b[] = {1, 3};
  const TensorView rows = Tensor(ElementType::kUint8, {2, 1}, batch);
  const auto a = KeysOf({rows, Tensor(ElementType::kUint8, {2}, shared_a)}, {0, -1});
  const auto b = KeysOf({rows, Tensor(ElementType::kUint8, {2}, shared_b)}, {0, -1});
  EXPECT_NE(a[0], b[0]);
  EXPECT_NE(a[1], b[1]);
}

TEST(Keys, OfRowsCoverEveryTensorWithRows) {
  const std::uint8_t first[] = {1, 1};
  const std::uint8_t second[] = {2, 3};
  const auto keys = KeysOf(
      {Tensor(ElementType::kUint8, {2, 1}, first), Tensor(ElementType::kUint8, {2, 1}, second)},
      {0, 0});
  EXPECT_NE(keys[0], keys[1]);
}

TEST(Keys, OfRowsCoverTheAxesOfTheResults) {
  const std::vector<TensorView> inputs = {Tensor(ElementType::kUint8, {2, 3}, kBytes.data())};
  const auto key = [&](const Axes& outputs) {
    return KeysOf(inputs, {0}, kIdentity, HashKind::kBlake3, std::nullopt, kTypes, 1, outputs)[0];
  };
  EXPECT_EQ(key({0}), key({0}));
  EXPECT_NE(key({0}), key({1}));
}

TEST(Keys, OfBigPartsDoNotTakeOneForTheOther) {
  const std::size_t size = kBigPart + 1;
  std::vector<std::uint8_t> data[] = {std::vector<std::uint8_t>(size, 1),
                                      std::vector<std::uint8_t>(size, 1)};
  const Dims dims{1, static_cast<std::int64_t>(size)};
  const auto key = [&](const Axes& axes) {
    return KeysOf({Tensor(ElementType::kUint8, dims, data[0].data()),
                   Tensor(ElementType::kUint8, dims, data[1].data())},
                  axes)[0];
  };
  for (const Axes& axes : {Axes{-1, -1}, Axes{0, 0}, Axes{0, -1}}) {
    const Key before = key(axes);
    for (std::vector<std::uint8_t>& bytes : data) {
      bytes[5] ^= 1;
      EXPECT_NE(key(axes), before);
      bytes[5] ^= 1;
    }
  }
}

TEST(Keys, OfBigPartsSeeEveryByte) {
  const std::size_t size = kBigPart + 2 * kSegment + 17;
  std::vector<std::uint8_t> data(size, 1);
  const auto key = [&](HashKind kind) {
    return Whole({Tensor(ElementType::kUint8, {static_cast<std::int64_t>(size)}, data.data())},
                 kIdentity, kind);
  };
  for (const HashKind kind : {HashKind::kBlake3, HashKind::kXxh3}) {
    const Key before = key(kind);
    for (const std::size_t at : {std::size_t{0}, kSegment - 1, kSegment, kBigPart, size - 1}) {
      data[at] ^= 1;
      EXPECT_NE(key(kind), before);
      data[at] ^= 1;
    }
    EXPECT_EQ(key(kind), before);
  }
}

// The halves of one unit's name; the second has to change with everything that the first does.
struct Halves {
  Keys keys;
  KeyTails tails;
};
Halves HalvesOf(const std::vector<TensorView>& inputs, const Axes& axes) {
  const RowCut cut(axes, kOutputAxes);
  const ExactKeying keying(HashKind::kBlake3, kIdentity, cut, kTypes);
  Halves halves;
  halves.keys = keying.KeysOf(cut.UnitsOf(inputs), std::nullopt, inputs, Parallel(), &halves.tails);
  return halves;
}

TEST(Keys, HaveSecondHalvesThatCoverTheSame) {
  std::vector<std::uint8_t> rows = {1, 2, 1, 2, 3, 4};
  const Halves halves = HalvesOf({Tensor(ElementType::kUint8, {3, 2}, rows.data())}, {0});
  ASSERT_EQ(halves.tails.size(), 3u);
  const auto keys = KeysOf({Tensor(ElementType::kUint8, {3, 2}, rows.data())}, {0});
  EXPECT_TRUE(std::equal(keys.begin(), keys.end(), halves.keys.begin(), halves.keys.end()));
  EXPECT_EQ(halves.tails[0], halves.tails[1]);
  EXPECT_FALSE(halves.tails[0] == halves.tails[2]);

  // In all, and in the segments that a large part is hashed by.
  for (const std::size_t size : {std::size_t{64}, kBigPart + kSegment + 1}) {
    std::vector<std::uint8_t> bytes(size, 7);
    const auto length = static_cast<std::int64_t>(size);
    const auto tail = [&] {
      return HalvesOf({Tensor(ElementType::kUint8, {length}, bytes.data())}, {-1}).tails[0];
    };
    const KeyTail before = tail();
    EXPECT_EQ(tail(), before);
    for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
      bytes[at] ^= 1;
      EXPECT_FALSE(tail() == before) << size << " " << at;
      bytes[at] ^= 1;
    }
  }
}

TEST(Keys, OfBigRowsDoNotDependOnTheirNeighbours) {
  const std::size_t row = kBigPart + 100;
  std::vector<std::uint8_t> batch(3 * row);
  for (std::size_t i = 0; i < batch.size(); ++i)
    batch[i] = static_cast<std::uint8_t>(i % row % 253);
  batch[row + 5] ^= 1;
  const auto length = static_cast<std::int64_t>(row);
  const auto keys = KeysOf({Tensor(ElementType::kUint8, {3, length}, batch.data())}, {0});
  EXPECT_EQ(keys[0], keys[2]);
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_EQ(keys[2],
            KeysOf({Tensor(ElementType::kUint8, {1, length}, batch.data() + 2 * row)}, {0})[0]);
}

}  // namespace
}  // namespace actcache
