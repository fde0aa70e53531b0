// Blocks keep their bytes, what is freed is used again, and goes back to the system when it should.
#include "base/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/sanitized.h"
#include "resident.h"
#include "rounds.h"

namespace actcache {
namespace {

using testing_support::ResidentBytes;
using testing_support::Rounds;

constexpr std::size_t kKiB = 1 << 10;
constexpr std::size_t kMiB = 1 << 20;

// A block in use, all bytes of which are `mark`.
class Used {
 public:
  Used(BlockPool* pool, std::size_t bytes, unsigned char mark)
      : pool_(pool),
        data_(static_cast<unsigned char*>(pool->Allocate(bytes))),
        bytes_(bytes),
        mark_(mark) {
    std::memset(data_, mark_, bytes_);
  }
  Used(Used&& other) noexcept
      : pool_(other.pool_),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(other.bytes_),
        mark_(other.mark_) {}
  Used& operator=(Used&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mark_, other.mark_);
    return *this;
  }
  ~Used() {
    if (data_ == nullptr) return;
    EXPECT_TRUE(Intact());
    pool_->Free(data_);
  }

  // By the C library, which is quick in any build.
  bool Intact() const {
    return bytes_ == 0 || (*data_ == mark_ && std::memcmp(data_, data_ + 1, bytes_ - 1) == 0);
  }
  std::size_t footprint() const { return AllocationFootprint(bytes_); }
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }

 private:
  BlockPool* pool_;
  unsigned char* data_;
  std::size_t bytes_;
  unsigned char mark_;
};

// From one byte to two mappings' size, most of them small.
std::size_t AnySize(std::mt19937* random) {
  const double octave = std::uniform_real_distribution<>(0, 1)(*random);
  return static_cast<std::size_t>(std::pow(2.0, 24.5 * octave * octave));
}

TEST(BlockPool, BlocksOfAnySizeKeepTheirBytes) {
  BlockPool pool;
  std::mt19937 random(1);
  std::vector<Used> used;
  for (int i = 0; i < Rounds(1500); ++i) {
    if (used.size() > 60 || (!used.empty() && random() % 3 == 0)) {
      std::swap(used[random() % used.size()], used.back());
      used.pop_back();
    } else {
      used.emplace_back(&pool, AnySize(&random), static_cast<unsigned char>(random()));
      ASSERT_EQ(used.back().address() % kAlignment, 0u);
    }
    if (i % 250 == 0) pool.ReturnFree();
    std::size_t footprints = 0;
    for (const Used& each : used) footprints += each.footprint();
    // A rest of less than a free block's 32 bytes stays with the block before it.
    ASSERT_GE(pool.held(), footprints);
    ASSERT_LE(pool.held(), footprints + 32 * used.size());
    ASSERT_LE(pool.held(), pool.mapped());
  }
  used.clear();
  EXPECT_EQ(pool.held(), 0u);
  EXPECT_GT(pool.mapped(), 0u);
  pool.ReturnFree();
  EXPECT_EQ(pool.mapped(), 0u);
}

TEST(BlockPool, WhatIsFreedIsUsedAgain) {
  BlockPool pool;
  std::vector<void*> blocks(200);
  for (void*& block : blocks) block = pool.Allocate(240 * kKiB);
  const std::size_t mapped = pool.mapped();
  EXPECT_LE(mapped, 200 * 240 * kKiB + 200 * 240 * kKiB / 16);
  std::vector<void*> before = blocks;
  std::sort(before.begin(), before.end());
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937(2));
  // One after the other, as a full store does it: the same memory.
  for (void*& block : blocks) {
    void* const old = block;
    pool.Free(block);
    block = pool.Allocate(240 * kKiB);
    ASSERT_EQ(block, old);
  }
  for (void* block : blocks) pool.Free(block);
  for (void*& block : blocks) block = pool.Allocate(240 * kKiB);
  EXPECT_EQ(pool.mapped(), mapped);
  for (void* block : blocks) pool.Free(block);
}

TEST(BlockPool, FreeNeighboursBecomeOneBlock) {
  for (unsigned order = 0; order < 3; ++order) {
    BlockPool pool;
    std::vector<void*> blocks;
    while (pool.mapped() <= 8 * kMiB) blocks.push_back(pool.Allocate(100 * kKiB));
    void* const next = blocks.back();  // of the second mapping
    blocks.pop_back();
    const std::size_t mapped = pool.mapped();
    if (order == 1) std::reverse(blocks.begin(), blocks.end());
    if (order == 2) std::shuffle(blocks.begin(), blocks.end(), std::mt19937(3));
    for (void* block : blocks) pool.Free(block);
    void* const large = pool.Allocate(8 * kMiB - 24);  // all of the first
    EXPECT_EQ(pool.mapped(), mapped) << order;
    void* const one_more = pool.Allocate(8 * kMiB - 24);
    EXPECT_GT(pool.mapped(), mapped) << order;
    for (void* block : {next, large, one_more}) pool.Free(block);
  }
}

TEST(BlockPool, WhatWasUsedBeforeComesFirst) {
  BlockPool pool;
  void* const first = pool.Allocate(100 * kKiB);
  void* const second = pool.Allocate(100 * kKiB);
  pool.Free(first);  // behind `second` is more room, that was never used
  void* const smaller = pool.Allocate(90 * kKiB);
  EXPECT_EQ(smaller, first);
  pool.Free(second);
  pool.Free(smaller);
}

TEST(BlockPool, GivesWholePagesBackAndKeepsTheRest) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps memory of its own beside it";
  BlockPool pool;
  std::vector<Used> used;
  const std::size_t before = ResidentBytes();
  for (unsigned i = 0; i < 64; ++i) {
    used.emplace_back(&pool, kMiB, static_cast<unsigned char>(i));
    if (i % 4 == 0) used.emplace_back(&pool, 10 * kKiB, static_cast<unsigned char>(100 + i));
  }
  ASSERT_GT(ResidentBytes(), before + 60 * kMiB);
  used.erase(std::remove_if(used.begin(), used.end(),
                            [](const Used& each) { return each.footprint() > kMiB; }),
             used.end());
  ASSERT_EQ(used.size(), 16u);
  pool.ReturnFree();
  EXPECT_LT(ResidentBytes(), before + 12 * kMiB);
  for (const Used& each : used) EXPECT_TRUE(each.Intact());
  for (unsigned i = 0; i < 50; ++i) used.emplace_back(&pool, kMiB, static_cast<unsigned char>(i));
  for (const Used& each : used) EXPECT_TRUE(each.Intact());
}

// Every second block is freed, and all that comes is larger: what lies between is of no use.
TEST(BlockPool, FragmentsGoBackBeforeMoreIsMapped) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps memory of its own beside it";
  BlockPool pool;
  std::vector<Used> used;
  const std::size_t before = ResidentBytes();
  for (unsigned i = 0; i < 1024; ++i) used.emplace_back(&pool, 100 * kKiB, 1);
  std::vector<Used> kept;
  for (unsigned i = 0; i < 1024; i += 2) kept.push_back(std::move(used[i]));
  used.clear();
  ASSERT_GT(ResidentBytes(), before + 90 * kMiB);
  for (unsigned i = 0; i < 256; ++i) kept.emplace_back(&pool, 200 * kKiB, 2);
  const std::size_t held = pool.held();
  ASSERT_GT(held, 100 * kMiB * 95 / 100);
  EXPECT_LT(ResidentBytes(), before + held + held / 8 + 16 * kMiB);
}

TEST(BlockPool, WhatCannotBeHadIsNull) {
  BlockPool pool;
  EXPECT_EQ(pool.Allocate(~std::size_t{0}), nullptr);
  EXPECT_EQ(pool.Allocate(~std::size_t{0} - 100), nullptr);
  EXPECT_EQ(pool.Allocate(std::size_t{1} << 47), nullptr);
  EXPECT_EQ(pool.Allocate(std::size_t{1} << 46), nullptr);
  EXPECT_EQ(pool.mapped(), 0u);
  const Used block(&pool, 0, 0);
  EXPECT_NE(block.address(), 0u);
}

TEST(BlockPool, ThreadsShareIt) {
  BlockPool pool;
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&pool, number] {
      std::mt19937 random(number);
      std::vector<Used> used;
      for (int i = 0; i < Rounds(1000); ++i) {
        if (used.size() > 10) used.erase(used.begin() + static_cast<int>(random() % 10));
        used.emplace_back(&pool, 1 + random() % (100 * kKiB), static_cast<unsigned char>(random()));
        if (i % 200 == 0) pool.ReturnFree();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.held(), 0u);
}

}  // namespace
}  // namespace actcache
