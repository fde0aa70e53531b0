// CacheLookup and CacheStore on prefixes, as kernels on a fake runtime: whatever is found, results
// are those of the whole computation.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "ops/cache_fetch.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "rounds.h"
#include "store/store.h"
#include "store_testing.h"
#include "units/call_plan.h"

namespace actcache {
namespace {

using fake::MakeValue;
using fake::Read;
using testing_support::Rounds;
using Numbers = std::vector<std::int64_t>;

// x int64 [rows, positions] and salt int64 [rows] to y int64 [rows, 2, positions], by way of a
// running sum s int64 [positions, rows], which is the state.
class RunningSums {
 public:
  explicit RunningSums(const std::string& id, std::int64_t block = 1, std::int64_t min_suffix = 2) {
    lookup_info_.strings = {{"region", id}, {"fingerprint", id}, {"granularity", "prefix"}};
    lookup_info_.ints = {
        {"output_row_axes", {0, 1}}, {"output_position_axes", {2, 0}}, {"output_types", {7, 7}}};
    lookup_info_.numbers = {{"block", block}, {"states", 1}};
    store_info_ = lookup_info_;
    lookup_info_.ints["input_row_axes"] = {0, 0};
    lookup_info_.ints["input_position_axes"] = {1, -1};
    lookup_info_.ints["output_ranks"] = {3, 2};
    lookup_info_.numbers["min_suffix"] = min_suffix;
    lookup_info_.numbers["hands_over"] = 1;
    lookup_info_.ints["store_fetches"] = {0};  // the region reads s alone
    fetch_info_.strings = store_info_.strings;
    fetch_info_.ints = {{"output_types", {7}}};
    fetch_info_.inputs = {ElementType::kUint8, ElementType::kInt64};
    fetch_info_.outputs = {ElementType::kInt64};
    lookup_info_.inputs = {ElementType::kInt64, ElementType::kInt64};
    lookup_info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kInt64,
                            ElementType::kInt64, ElementType::kInt64};
    store_info_.inputs = {ElementType::kUint8, ElementType::kInt64, ElementType::kInt64,
                          ElementType::kInt64, ElementType::kInt64};
    store_info_.outputs = {ElementType::kInt64};
    lookup_ = std::make_unique<CacheLookup>(fake::Api::Get(), &lookup_info_, session_);
    store_ = std::make_unique<CacheStore>(fake::Api::Get(), &store_info_, session_);
    fetch_ = std::make_unique<CacheFetch>(fake::Api::Get(), &fetch_info_, session_);
    region_ = &Registry::Process().InternRegion(id, id);
    Config::Process().Configure("bypass", "off");
  }

  struct Result {
    ort::Value y;
    ort::Value s;
  };

  // Of the positions of `x`, behind those that `before` [any, rows] has sums of.
  static Result Compute(const ort::Value& x, const ort::Value& salt, const ort::Value& before) {
    const auto rows = static_cast<std::size_t>(x.info.dims[0]);
    const auto positions = static_cast<std::size_t>(x.info.dims[1]);
    const Numbers in = Read<std::int64_t>(x);
    const Numbers salts = Read<std::int64_t>(salt);
    const Numbers past = Read<std::int64_t>(before);
    Numbers y(rows * 2 * positions);
    Numbers s(positions * rows);
    for (std::size_t row = 0; row < rows; ++row) {
      auto sum = past.empty() ? static_cast<std::uint64_t>(salts[row])
                              : static_cast<std::uint64_t>(past[past.size() - rows + row]);
      for (std::size_t i = 0; i < positions; ++i) {
        sum = testing_support::Mix(sum + static_cast<std::uint64_t>(in[row * positions + i]));
        s[i * rows + row] = static_cast<std::int64_t>(sum);
        y[row * 2 * positions + i] = static_cast<std::int64_t>(sum);
        y[(row * 2 + 1) * positions + i] = static_cast<std::int64_t>(~sum);
      }
    }
    const std::int64_t n = x.info.dims[0];
    const std::int64_t length = x.info.dims[1];
    return {MakeValue(ElementType::kInt64, {n, 2, length}, y),
            MakeValue(ElementType::kInt64, {length, n}, s)};
  }

  ort::KernelContext Look(const ort::Value& x, const ort::Value& salt) const {
    ort::KernelContext context{&lookup_info_, {x, salt}, std::vector<ort::Value>(5)};
    lookup_->Compute(&context);
    return context;
  }

  ort::Value Merge(const ort::KernelContext& looked, const Result& computed) const {
    ort::KernelContext context{
        &store_info_,
        {looked.outputs[1], looked.outputs[2], looked.outputs[3], computed.y, computed.s},
        std::vector<ort::Value>(1)};
    store_->Compute(&context);
    return context.outputs[0];
  }

  ort::Value Fetch(const ort::KernelContext& looked) const {
    ort::KernelContext context{
        &fetch_info_, {looked.outputs[1], looked.outputs[2]}, std::vector<ort::Value>(1)};
    fetch_->Compute(&context);
    return context.outputs[0];
  }

  // What the graph gives.
  ort::Value Run(const ort::Value& x, const ort::Value& salt) {
    const ort::KernelContext looked = Look(x, salt);
    computed_ = 0;
    copied_ = looked.outputs[2].info.dims[2] > 0;
    if (*looked.outputs[0].data() == std::byte{0}) return Fetch(looked);
    computed_ = static_cast<std::size_t>(looked.outputs[4].info.dims[1]);
    std::this_thread::sleep_for(cost_ * computed_);
    return Merge(looked, Compute(looked.outputs[4], salt, looked.outputs[3]));
  }

  // Runs it, and says whether the result is that of the whole computation.
  bool RunsRight(const ort::Value& x, const ort::Value& salt) {
    const ort::Value y = Run(x, salt);
    const ort::Value expected = Compute(x, salt, MakeValue(ElementType::kInt64, {0}, Numbers{})).y;
    return y.info.dims == expected.info.dims &&
           Read<std::int64_t>(y) == Read<std::int64_t>(expected);
  }

  const RegionCounters& counters() const { return region_->counters; }
  // As if somebody had edited the model: its CacheStore takes the batch for one row.
  void StoreWithoutRows() {
    store_info_.ints["output_row_axes"] = {-1, -1};
    store_ = std::make_unique<CacheStore>(fake::Api::Get(), &store_info_, session_);
  }
  std::size_t entries() const { return Store::Process().usage(region_->number).entries; }
  // What computing a position takes, if anything.
  void set_cost(std::chrono::microseconds cost) { cost_ = cost; }
  // Positions that the last call computed of each row.
  std::size_t computed() const { return computed_; }
  // Whether its lookup copied results.
  bool copied() const { return copied_; }

 private:
  const SessionSettings session_{"", Registry::Process().InternNamespace("")};
  ort::KernelInfo lookup_info_;
  ort::KernelInfo store_info_;
  ort::KernelInfo fetch_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
  std::unique_ptr<CacheFetch> fetch_;
  const Region* region_;
  std::size_t computed_ = 0;
  bool copied_ = false;
  std::chrono::microseconds cost_{0};
};

ort::Value Rows(const std::vector<Numbers>& rows) {
  Numbers all;
  for (const Numbers& row : rows) all.insert(all.end(), row.begin(), row.end());
  const auto length = static_cast<std::int64_t>(rows.empty() ? 0 : rows[0].size());
  return MakeValue(ElementType::kInt64, {static_cast<std::int64_t>(rows.size()), length}, all);
}

ort::Value Salts(const Numbers& salts) {
  return MakeValue(ElementType::kInt64, {static_cast<std::int64_t>(salts.size())}, salts);
}

TEST(Prefixes, AreComputedOnce) {
  RunningSums region("prefixes once");
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4}}), Salts({0})));
  EXPECT_EQ(region.computed(), 4u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4}}), Salts({0})));
  EXPECT_EQ(region.computed(), 0u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5}}), Salts({0})));
  EXPECT_EQ(region.computed(), 2u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 9, 4, 5}}), Salts({0})));
  EXPECT_EQ(region.computed(), 3u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5}}), Salts({1})));
  EXPECT_EQ(region.computed(), 5u);
  EXPECT_EQ(region.counters().stored, 4u + 1u + 3u + 5u);
  EXPECT_EQ(region.counters().hits, 4u + 3u + 2u);
  EXPECT_EQ(region.counters().misses, 4u + 2u + 3u + 5u);
}

TEST(Prefixes, OfLargeResultsAreCopiedOnce) {
  constexpr std::size_t kLong = 3000;  // of 16 bytes each
  for (const std::int64_t block : {1, 4}) {
    RunningSums region("large prefixes " + std::to_string(block), block);
    const auto row = [](std::int64_t seed, std::size_t length) {
      Numbers numbers(length, seed);
      return numbers;
    };
    EXPECT_TRUE(region.RunsRight(Rows({row(1, kLong), row(2, kLong)}), Salts({0, 1})));
    EXPECT_FALSE(region.copied());
    const ort::Value longer = Rows({row(1, kLong + 7), row(2, kLong + 7)});
    EXPECT_TRUE(region.RunsRight(longer, Salts({0, 1})));
    EXPECT_FALSE(region.copied());
    EXPECT_EQ(region.computed(), 7u);
    EXPECT_TRUE(region.RunsRight(Rows({row(2, kLong), row(1, kLong)}), Salts({1, 0})));
    EXPECT_FALSE(region.copied());
    EXPECT_EQ(region.computed(), 0u);
    EXPECT_TRUE(region.RunsRight(Rows({row(2, 40)}), Salts({1})));
    EXPECT_TRUE(region.copied());
    region.StoreWithoutRows();
    EXPECT_THROW(region.Run(Rows({row(1, kLong + 50), row(2, kLong + 50)}), Salts({0, 1})),
                 ort::Error);
  }
  EXPECT_EQ(HandOverTable::Process().count(), 0u);
}

TEST(Prefixes, OfABatchAreTheShortestRows) {
  RunningSums region("prefixes of a batch", 2, 1);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5}}), Salts({0})));
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 6}, {1, 2, 7, 8, 9}, {1, 2, 3, 4, 6}}),
                               Salts({0, 0, 0})));
  EXPECT_EQ(region.computed(), 3u);
  EXPECT_EQ(region.counters().stored, 2u + 1u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 7, 8, 9}, {1, 2, 3, 4, 6}}), Salts({0, 0})));
  EXPECT_EQ(region.computed(), 1u);  // what no block has
}

TEST(Prefixes, TakeCallsWithoutABlock) {
  RunningSums region("prefixes without a block", 4);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3}}), Salts({0})));
    EXPECT_TRUE(region.RunsRight(Rows({{}, {}}), Salts({0, 0})));
    EXPECT_TRUE(region.RunsRight(MakeValue(ElementType::kInt64, {0, 5}, Numbers{}), Salts({})));
  }
  EXPECT_EQ(region.counters().stored, 0u);
  EXPECT_EQ(region.counters().bypassed, 0u);
}

TEST(Prefixes, AreNotCutWhereRowsAreUnequal) {
  RunningSums region("prefixes of unequal rows");
  const ort::KernelContext looked = region.Look(Rows({{1, 2}, {3, 4}}), Salts({0}));
  EXPECT_NE(*looked.outputs[0].data(), std::byte{0});
  EXPECT_EQ(looked.outputs[2].info.dims, (Dims{2, 0, 0}));
  EXPECT_EQ(looked.outputs[3].info.dims, (Dims{0, 2}));
  EXPECT_EQ(looked.outputs[4].info.dims, (Dims{2, 2}));
}

TEST(Prefixes, RefuseWhatIsNotTheSuffix) {
  RunningSums region("prefixes and other suffixes");
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4}}), Salts({0})));
  const ort::KernelContext looked = region.Look(Rows({{1, 2, 5, 6}, {1, 2, 7, 8}}), Salts({0, 0}));
  const auto computed = [&](const std::vector<Numbers>& rows) {
    return RunningSums::Compute(Rows(rows), Salts(Numbers(rows.size())), looked.outputs[3]);
  };
  EXPECT_THROW(region.Merge(looked, computed({{5, 6, 7}, {7, 8, 9}})), ort::Error);
  EXPECT_THROW(region.Merge(looked, computed({{5, 6}})), ort::Error);
  RunningSums::Result other = computed({{5, 6}, {7, 8}});
  other.s.info.dims = {1, 4};
  EXPECT_THROW(region.Merge(looked, other), ort::Error);
  EXPECT_EQ(region.counters().stored, 4u);
}

TEST(Prefixes, WithoutABudgetAreComputed) {
  RunningSums region("prefixes off");
  Config::Process().Configure("budget_bytes", "0");
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3}}), Salts({0})));
  Config::Process().Configure("budget_bytes", std::nullopt);
  EXPECT_EQ(region.counters().bypassed, 6u);
}

TEST(Prefixes, KeepTheirBeginnings) {
  RunningSums region("prefixes in little room");
  region.set_cost(std::chrono::microseconds(300));  // else nothing is worth another's room
  Store::Process().Invalidate(Selection{}, SteadyNow());
  Numbers row(100);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<std::int64_t>(i % 7);
  EXPECT_TRUE(region.RunsRight(Rows({row}), Salts({0})));
  const std::string half = std::to_string(Store::Process().stats().bytes / 2);
  Store::Process().Invalidate(Selection{}, SteadyNow());
  Config::Process().Configure("budget_bytes", half);
  EXPECT_TRUE(region.RunsRight(Rows({row}), Salts({0})));
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t hits = region.counters().hits;
    EXPECT_TRUE(region.RunsRight(Rows({row}), Salts({0})));
    EXPECT_GT(region.counters().hits, hits);
  }
  Config::Process().Configure("budget_bytes", std::nullopt);
}

// Sequences that grow in turn, in room for half of them: whatever is left of one can be found.
TEST(Prefixes, LoseTheirEndsFirst) {
  constexpr std::int64_t kSequences = 8;
  constexpr std::size_t kLongest = 40;
  RunningSums region("prefixes that lose their ends", 1, 1);
  region.set_cost(std::chrono::microseconds(50));
  Store::Process().Invalidate(Selection{}, SteadyNow());
  std::mt19937 random(9);
  std::vector<Numbers> sequences(kSequences);
  const auto grow = [&](std::int64_t salt) {
    Numbers& sequence = sequences[static_cast<std::size_t>(salt)];
    if (sequence.size() >= kLongest) sequence.resize(4);
    do {
      sequence.push_back(static_cast<std::int64_t>(sequence.size()));
    } while (random() % 3 != 0 && sequence.size() < kLongest);
    ASSERT_TRUE(region.RunsRight(Rows({sequence}), Salts({salt})));
  };
  const std::size_t before = Store::Process().stats().bytes;
  grow(0);
  const std::size_t bytes = (Store::Process().stats().bytes - before) / region.entries();
  Config::Process().Configure("budget_bytes", std::to_string(kSequences * kLongest / 2 * bytes));
  for (int call = 0; call < 300; ++call) grow(static_cast<std::int64_t>(random() % kSequences));
  Numbers longest(kLongest);
  for (std::size_t i = 0; i < kLongest; ++i) longest[i] = static_cast<std::int64_t>(i);
  const std::uint64_t hits = region.counters().hits;
  for (std::int64_t salt = 0; salt < kSequences; ++salt)
    region.Look(Rows({longest}), Salts({salt}));
  EXPECT_EQ(region.counters().hits - hits, region.entries());
  EXPECT_GT(region.entries(), kLongest);
  EXPECT_GT(Store::Process().stats().evictions, 100u);
  Store::Process().Invalidate(Selection{}, SteadyNow());  // it is dear
  Config::Process().Configure("budget_bytes", std::nullopt);
}

// Nothing repeated so far, and storing takes a fifth of the time: of a sequence, what was seen
// before is stored, and nothing behind it.
TEST(Prefixes, AreStoredAtSecondSightWhereNothingRepeats) {
  RunningSums region("prefixes at second sight");
  Config::Process().Configure("bypass", "auto");
  RegionPolicy& policy = Registry::Process()
                             .InternRegion("prefixes at second sight", "prefixes at second sight")
                             .policy;
  policy.Begin(Config::Process().bypass());
  // A second and a fifth: beside them, what the calls below take is nothing on the slowest machine.
  for (unsigned i = 0; i <= FirstSight::kFreeCalls; ++i) {
    policy.Computed(0, 1, 1'000'000'000);
    policy.Published({0, 1, 200'000'000, 0});
  }
  ASSERT_FALSE(policy.StoresFirstSights());
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5, 6}}), Salts({0})));
  EXPECT_EQ(region.entries(), 0u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 7, 3, 4, 5, 6}}), Salts({0})));
  EXPECT_EQ(region.entries(), 1u);
  EXPECT_EQ(region.counters().first_sights, 6u + 5u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5, 8}}), Salts({0})));
  EXPECT_EQ(region.computed(), 5u);
  EXPECT_TRUE(policy.StoresFirstSights());
  EXPECT_EQ(region.entries(), 6u);
  EXPECT_TRUE(region.RunsRight(Rows({{1, 2, 3, 4, 5, 8}}), Salts({0})));
  EXPECT_EQ(region.computed(), 0u);
  Config::Process().Configure("bypass", std::nullopt);
}

// Thousands of calls of rows that begin alike, in little room, now and then verified.
TEST(Prefixes, AreRightWhateverIsFound) {
  std::mt19937 random(14);
  const auto below = [&](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  for (const auto& [block, min_suffix] :
       {std::pair{1, 2}, std::pair{1, 1}, std::pair{3, 2}, std::pair{4, 5}}) {
    RunningSums region("prefixes " + std::to_string(block) + " " + std::to_string(min_suffix),
                       block, min_suffix);
    Config::Process().Configure("budget_bytes", "20000");
    for (int call = 0; call < Rounds(1500); ++call) {
      Config::Process().Configure("verify_fraction", call % 50 == 0 ? "0.5" : "0");
      const auto rows = static_cast<std::size_t>(1 + below(3));
      const auto length = static_cast<std::size_t>(below(24));
      std::vector<Numbers> x(rows, Numbers(length));
      for (Numbers& row : x) {
        const std::int64_t topic = below(3);
        for (std::size_t i = 0; i < length; ++i) {
          row[i] = random() % 16 == 0 ? below(3) : topic + static_cast<std::int64_t>(i % 2);
        }
      }
      Numbers salts(rows);
      for (std::int64_t& salt : salts) salt = below(2);
      ASSERT_TRUE(region.RunsRight(Rows(x), Salts(salts)));
    }
    EXPECT_GT(region.counters().hits, static_cast<unsigned>(Rounds(300)));
    EXPECT_EQ(region.counters().mismatches, 0u);
    EXPECT_GT(region.counters().verified, 0u);
  }
  Config::Process().Configure("budget_bytes", std::nullopt);
  Config::Process().Configure("verify_fraction", std::nullopt);
}

}  // namespace
}  // namespace actcache
