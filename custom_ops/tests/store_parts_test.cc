// The store's building blocks, each against something simpler.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "store/eviction/array_heap.h"
#include "store/id_table.h"
#include "store/varint.h"
#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

struct Numbered {
  int value = 0;
  std::uint32_t slot = kNoSlot;
};

struct NumberedItem {
  Numbered* it;
  bool Before(const NumberedItem& other) const { return it->value < other.it->value; }
  void MoveTo(std::uint32_t slot) const { it->slot = slot; }
};

TEST(ArrayHeap, AgreesWithASortedSet) {
  std::mt19937_64 random(3);
  std::vector<Numbered> items(500);
  ArrayHeap<NumberedItem> heap;
  std::multiset<int> expected;
  for (int step = 0; step < 20000; ++step) {
    Numbered& item = items[random() % items.size()];
    if (item.slot == kNoSlot) {
      item.value = static_cast<int>(random() % 1000);
      ASSERT_TRUE(heap.Reserve(heap.size() + 1));
      heap.Push({&item});
      expected.insert(item.value);
    } else if (random() % 3 == 0) {
      heap.Remove(item.slot);
      EXPECT_EQ(item.slot, kNoSlot);
      expected.erase(expected.find(item.value));
    } else {
      Numbered& top = *heap.top().it;
      expected.erase(expected.find(top.value));
      top.value += static_cast<int>(random() % 100);
      expected.insert(top.value);
      heap.SinkTop();
    }
    if (step % 1000 == 0) heap.Shrink(0);
    ASSERT_EQ(heap.size(), expected.size());
    if (!expected.empty()) {
      ASSERT_EQ(heap.top().it->value, *expected.begin());
    }
  }
  EXPECT_GT(heap.size(), 100u);
}

TEST(Varint, ComesBackInAsManyBytesAsItSays) {
  std::vector<std::uint64_t> values = {0, std::numeric_limits<std::uint64_t>::max()};
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    values.insert(values.end(), {power - 1, power, power + 1});
  }
  for (const std::uint64_t value : values) {
    unsigned char bytes[16];
    const unsigned char* at = bytes;
    EXPECT_EQ(WriteVarint(bytes, value), bytes + VarintBytes(value));
    EXPECT_EQ(ReadVarint(&at), value);
    EXPECT_EQ(at, bytes + VarintBytes(value));
  }
  EXPECT_EQ(VarintBytes(127), 1u);
  EXPECT_EQ(VarintBytes(128), 2u);
  EXPECT_EQ(VarintBytes(std::numeric_limits<std::uint64_t>::max()), 10u);
}

TEST(IdTable, KeepsValuesWhenItGrows) {
  IdTable<std::vector<int>> table;
  EXPECT_EQ(table.size(), 0u);
  for (std::uint32_t id = 0; id < 1000; id += 7) {
    ASSERT_TRUE(table.Ensure(id));
    EXPECT_TRUE(table[id].empty());
    table[id].push_back(static_cast<int>(id));
  }
  for (std::uint32_t id = 0; id < 1000; ++id) {
    EXPECT_EQ(table[id].size(), id % 7 == 0 ? 1u : 0u);
  }
  table.Clear();
  EXPECT_EQ(table.size(), 0u);
}

// Dimensions are kept in as few bytes as they need; none may come back as another.
TEST(Entries, KeepAnyDimensions) {
  Store store(std::size_t{1} << 20);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::vector<TensorSpec> specs = {{1, {0, 1, 127, 128, 16383, 16384}, 5},
                                         {22, {most, -1, 1 << 21}, 7},
                                         {1000000, std::vector<std::int64_t>(300, 129), 3},
                                         {0, {}, 0}};
  ASSERT_EQ(PutCandidate(&store, OfferOf(1, specs)), Rejection::kNone);
  const EntryRef found = Get(&store, 1);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->tensor_count(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(found->dtype(i), specs[i].dtype);
    EXPECT_EQ(found->bytes(i), specs[i].bytes);
    const DimsView dims = found->dims(i);
    ASSERT_EQ(dims.rank, specs[i].dims.size());
    EXPECT_TRUE(std::equal(dims.begin(), dims.end(), specs[i].dims.begin()));
    EXPECT_TRUE(Holds(KeyNumber(1), found->data(i), found->bytes(i)));
  }
  EXPECT_EQ(found->charge(), store.stats().bytes);
}

}  // namespace
}  // namespace actcache
