// The plan crosses the graph as plain bytes: what is written is read back, and nothing else is
// accepted.
#include "units/call_plan.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <utility>
#include <vector>

namespace actcache {
namespace {

constexpr std::uint32_t kRegion = 7;

// Aligned bytes of a plan of 5 rows: computed 0, cached 0, computed 1, computed 0 (equal to the
// first), cached 1.
class PlanTest : public ::testing::Test {
 protected:
  PlanTest() {
    plan_.kind = PlanKind::kRow;
    plan_.region = kRegion;
    plan_.name_space = 3;
    plan_.rows = 5;
    plan_.missing = 2;
    plan_.cached_rows = 2;
    plan_.flight = 5;
    plan_.lookup_end_ns = 123456789;
    plan_.call = 42;
    plan_.origin = 7;
    plan_.scope = KeyScope::kShared;
    plan_.keys = keys_;
    plan_.sources = sources_;
    plan_.flags = flags_;
    Encode();
  }

  void Encode() {
    size_ = PlanBytes(plan_);
    words_.assign(size_ / 8 + 2, 0);
    EncodePlan(plan_, bytes());
  }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.data()); }
  const char* Decode(std::uint32_t region = kRegion) {
    return DecodePlan(bytes(), size_, region, &decoded_);
  }

  const Key keys_[2] = {Key{{1, 2}}, Key{{3, 4}}};
  RowSource sources_[5] = {RowSource::Computed(0), RowSource::Cached(0), RowSource::Computed(1),
                           RowSource::Computed(0), RowSource::Cached(1)};
  std::uint8_t flags_[2] = {kReplace | kVerify, 0};
  CallPlan plan_;
  CallPlan decoded_;
  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

TEST_F(PlanTest, ReadsBackWhatWasWritten) {
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(decoded_.kind, PlanKind::kRow);
  EXPECT_EQ(decoded_.name_space, 3u);
  EXPECT_EQ(decoded_.rows, 5u);
  EXPECT_EQ(decoded_.missing, 2u);
  EXPECT_EQ(decoded_.cached_rows, 2u);
  EXPECT_EQ(decoded_.flight, 5u);
  EXPECT_EQ(decoded_.lookup_end_ns, 123456789u);
  EXPECT_EQ(decoded_.call, 42u);
  EXPECT_EQ(decoded_.origin, 7u);
  EXPECT_EQ(decoded_.scope, KeyScope::kShared);
  EXPECT_EQ(decoded_.keys[1], keys_[1]);
  EXPECT_TRUE(decoded_.sources[4].cached());
  EXPECT_EQ(decoded_.sources[4].index(), 1u);
  EXPECT_FALSE(decoded_.sources[3].cached());
  EXPECT_EQ(decoded_.flags[0], kReplace | kVerify);
  EXPECT_EQ(decoded_.flags[1], 0);
}

TEST_F(PlanTest, KeysMayHaveSecondHalves) {
  EXPECT_EQ(Decode(), nullptr);
  EXPECT_EQ(decoded_.tails, nullptr);
  const KeyTail tails[2] = {KeyTail{{5, 6}}, KeyTail{{7, 8}}};
  plan_.tails = tails;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  ASSERT_NE(decoded_.tails, nullptr);
  EXPECT_EQ(decoded_.tails[0], tails[0]);
  EXPECT_EQ(decoded_.tails[1], tails[1]);
  EXPECT_EQ(decoded_.keys[1], keys_[1]);
  EXPECT_EQ(decoded_.sources[4].index(), 1u);
  EXPECT_EQ(decoded_.flags[0], kReplace | kVerify);
  for (std::size_t size = 0; size < size_; ++size) {
    EXPECT_NE(DecodePlan(bytes(), size, kRegion, &decoded_), nullptr) << size;
  }
  reinterpret_cast<PlanHeader*>(bytes())->tails = 2;
  EXPECT_NE(Decode(), nullptr);
}

TEST_F(PlanTest, WithoutMissesThereAreNoSources) {
  plan_.missing = 0;
  plan_.cached_rows = 5;
  plan_.flight = kNoFlight;
  Encode();
  EXPECT_EQ(size_, sizeof(PlanHeader));
  EXPECT_EQ(Decode(), nullptr);
  plan_.flight = 5;  // but nobody can wait for nothing
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

TEST_F(PlanTest, OnlyWhatWasFoundIsHandedOver) {
  plan_.handed_over = 0x123456789abcdef0;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(decoded_.handed_over, plan_.handed_over);
  plan_.missing = 0;
  plan_.cached_rows = 5;
  plan_.flight = kNoFlight;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(decoded_.handed_over, plan_.handed_over);
  plan_.kind = PlanKind::kPass;
  plan_.rows = plan_.cached_rows = 0;
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

using Places = std::vector<std::pair<std::size_t, std::size_t>>;

Places FoundBy(const CallPlan& plan) {
  Places places;
  plan.ForEachFound([&](std::size_t unit, std::size_t found) { places.emplace_back(unit, found); });
  return places;
}

TEST_F(PlanTest, SaysWhichUnitsWereFound) {
  EXPECT_EQ(FoundBy(plan_), (Places{{1, 0}, {4, 1}}));
  plan_.kind = PlanKind::kPrefix;
  plan_.rows = 10;
  plan_.length = 5;
  plan_.cached_rows = 4;
  plan_.missing = 6;
  EXPECT_EQ(FoundBy(plan_), (Places{{0, 0}, {1, 1}, {5, 2}, {6, 3}}));
  plan_.cached_rows = 0;
  EXPECT_EQ(FoundBy(plan_), Places{});
}

TEST_F(PlanTest, RefusesAnotherRegion) { EXPECT_NE(Decode(kRegion + 1), nullptr); }

TEST_F(PlanTest, RefusesEveryOtherSize) {
  for (std::size_t size = 0; size < size_; ++size) {
    EXPECT_NE(DecodePlan(bytes(), size, kRegion, &decoded_), nullptr) << size;
  }
  EXPECT_NE(DecodePlan(bytes(), size_ + 1, kRegion, &decoded_), nullptr);
}

TEST_F(PlanTest, RefusesMisalignedBytes) {
  std::memmove(bytes() + 1, bytes(), size_);
  EXPECT_NE(DecodePlan(bytes() + 1, size_, kRegion, &decoded_), nullptr);
}

TEST_F(PlanTest, RefusesSourcesOutOfRange) {
  for (const RowSource bad : {RowSource::Computed(2), RowSource::Cached(2),
                              RowSource::Computed(kMaxPlanRows), RowSource::Cached(kMaxPlanRows)}) {
    sources_[3] = bad;
    Encode();
    EXPECT_NE(Decode(), nullptr);
  }
}

TEST_F(PlanTest, RefusesUnknownFlags) {
  flags_[1] = kAllMissingFlags + 1;
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

TEST_F(PlanTest, RefusesAnUnknownScope) {
  plan_.scope = static_cast<KeyScope>(2);
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

TEST_F(PlanTest, RefusesAMissingRowThatNobodyUses) {
  sources_[2] = RowSource::Cached(0);
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

TEST_F(PlanTest, RefusesAWholePlanOfSeveralRowsAndAPassWithRows) {
  for (const PlanKind kind : {PlanKind::kWhole, PlanKind::kPass, static_cast<PlanKind>(9)}) {
    plan_.kind = kind;
    Encode();
    EXPECT_NE(Decode(), nullptr);
  }
}

// A plan of 2 rows of 3 blocks, of which the first of each was found, and 2 positions more.
class PrefixPlanTest : public PlanTest {
 protected:
  PrefixPlanTest() {
    plan_.kind = PlanKind::kPrefix;
    plan_.rows = 6;
    plan_.length = 3;
    plan_.tail = 2;
    plan_.missing = 4;
    plan_.cached_rows = 2;
    plan_.keys = block_keys_;
    plan_.before = before_;
    plan_.sources = nullptr;
    plan_.flags = block_flags_;
    Encode();
  }

  const Key block_keys_[4] = {Key{{1, 2}}, Key{{3, 4}}, Key{{5, 6}}, Key{{7, 8}}};
  const Key before_[2] = {Key{{9, 10}}, Key{{11, 12}}};
  std::uint8_t block_flags_[4] = {kKept, 0, kReplace, kVerify};
};

TEST_F(PrefixPlanTest, ReadsBackWhatWasWritten) {
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(size_, sizeof(PlanHeader) + 4 * 17 + 2 * 16);
  EXPECT_EQ(decoded_.kind, PlanKind::kPrefix);
  EXPECT_EQ(decoded_.length, 3u);
  EXPECT_EQ(decoded_.tail, 2u);
  EXPECT_EQ(decoded_.sources, nullptr);
  EXPECT_EQ(decoded_.keys[3], block_keys_[3]);
  EXPECT_EQ(decoded_.batch(), 2u);
  EXPECT_EQ(decoded_.before[0], before_[0]);
  EXPECT_EQ(decoded_.before[1], before_[1]);
  EXPECT_EQ(decoded_.flags[0], kKept);
  EXPECT_EQ(decoded_.flags[3], kVerify);
  EXPECT_EQ(decoded_.wanted(), 4u);
  EXPECT_TRUE(decoded_.any_miss());
}

TEST_F(PrefixPlanTest, ReadsBackTheSecondHalvesOfKeys) {
  const KeyTail tails[4] = {KeyTail{{1, 1}}, KeyTail{{2, 2}}, KeyTail{{3, 3}}, KeyTail{{4, 4}}};
  const KeyTail before_tails[2] = {KeyTail{{5, 5}}, KeyTail{{6, 6}}};
  plan_.tails = tails;
  plan_.before_tails = before_tails;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(size_, sizeof(PlanHeader) + 4 * 33 + 2 * 32);
  EXPECT_EQ(std::memcmp(decoded_.tails, tails, sizeof(tails)), 0);
  EXPECT_EQ(std::memcmp(decoded_.before_tails, before_tails, sizeof(before_tails)), 0);
  EXPECT_EQ(decoded_.before[1], before_[1]);
  EXPECT_EQ(decoded_.flags[3], kVerify);
}

TEST_F(PrefixPlanTest, HasNothingBeforeItsUnitsWhereNothingWasFound) {
  plan_.length = 2;
  plan_.cached_rows = 0;
  plan_.rows = 4;
  plan_.before = nullptr;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_EQ(size_, sizeof(PlanHeader) + 4 * 17);
  EXPECT_EQ(decoded_.before, nullptr);
}

TEST_F(PrefixPlanTest, MayLackNothingButWhatIsBehindTheBlocks) {
  plan_.missing = 0;
  plan_.cached_rows = 6;
  plan_.flight = kNoFlight;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_TRUE(decoded_.any_miss());
  plan_.tail = 0;
  Encode();
  ASSERT_EQ(Decode(), nullptr);
  EXPECT_FALSE(decoded_.any_miss());
}

TEST_F(PrefixPlanTest, RefusesRowsThatAreNotAlike) {
  const CallPlan sound = plan_;
  const auto refused = [&](auto change) {
    plan_ = sound;
    change(plan_);
    Encode();
    return Decode() != nullptr;
  };
  EXPECT_FALSE(refused([](CallPlan&) {}));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.length = 0; }));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.length = 4; }));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.cached_rows = 1; }));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.missing = 3; }));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.rows = plan.missing = plan.cached_rows = 0; }));
  EXPECT_TRUE(refused([](CallPlan& plan) { plan.tail = kMaxPlanRows + 1; }));
}

TEST_F(PrefixPlanTest, OnlyPrefixesHaveALength) {
  CallPlan rows;
  rows.kind = PlanKind::kRow;
  rows.region = kRegion;
  rows.rows = rows.cached_rows = 2;
  plan_ = rows;
  Encode();
  EXPECT_EQ(Decode(), nullptr);
  plan_.length = 2;
  Encode();
  EXPECT_NE(Decode(), nullptr);
  plan_ = rows;
  plan_.tail = 1;
  Encode();
  EXPECT_NE(Decode(), nullptr);
}

// Whatever bytes are flipped, an accepted plan never points outside its tensors.
TEST_F(PlanTest, CorruptedBytesNeverGetOutOfRange) {
  std::mt19937 random(1);
  const std::vector<std::uint64_t> sound = words_;
  for (int round = 0; round < 20000; ++round) {
    words_ = sound;
    const int flips = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < flips; ++i) {
      bytes()[random() % size_] ^= static_cast<std::byte>(1u << (random() % 8));
    }
    if (Decode() != nullptr) continue;
    ASSERT_LE(decoded_.missing, decoded_.rows);
    for (std::uint32_t row = 0; decoded_.missing > 0 && row < decoded_.rows; ++row) {
      const RowSource source = decoded_.sources[row];
      ASSERT_LT(source.index(), source.cached() ? decoded_.cached_rows : decoded_.missing);
    }
  }
}

}  // namespace
}  // namespace actcache
