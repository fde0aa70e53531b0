// CacheFetch after CacheLookup, on a fake runtime: large hits are copied once, whatever happens in
// between.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "ops/cache_fetch.h"
#include "ops_squares.h"
#include "store/store.h"

namespace actcache {
namespace {

constexpr std::size_t kWidth = 8192;  // of a row: 32 KiB

// A region that squares, with the branch that fetches what is found.
class Fetching {
 public:
  explicit Fetching(const std::string& id, const std::string& granularity = "row",
                    std::int64_t axis = 0, bool hands_over = true)
      : region_(Registry::Process().InternRegion(id, id)), axis_(granularity == "row" ? axis : -1) {
    Config::Process().Configure("bypass", "off");
    info_.strings = {{"region", id}, {"fingerprint", id}, {"granularity", granularity}};
    info_.ints = {{"input_row_axes", {axis_}},
                  {"output_row_axes", {axis_}},
                  {"output_types", {1}},
                  {"size_equations", {}}};
    fetch_info_ = info_;
    store_info_ = info_;
    if (hands_over) info_.numbers["hands_over"] = 1;
    info_.inputs = {ElementType::kFloat};
    info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat};
    if (axis_ >= 0) info_.outputs.push_back(ElementType::kFloat);
    fetch_info_.inputs = {ElementType::kUint8, ElementType::kFloat};
    fetch_info_.outputs = {ElementType::kFloat};
    store_info_.inputs = {ElementType::kUint8, ElementType::kFloat, ElementType::kFloat};
    store_info_.outputs = {ElementType::kFloat};
    lookup_ = std::make_unique<CacheLookup>(fake::Api::Get(), &info_, session_);
    store_ = std::make_unique<CacheStore>(fake::Api::Get(), &store_info_, session_);
    fetch_ = std::make_unique<CacheFetch>(fake::Api::Get(), &fetch_info_, session_);
  }

  ort::KernelContext Context(const ort::Value& x) const {
    return {&info_, {x}, std::vector<ort::Value>(4)};
  }
  void Look(ort::KernelContext* context) const { lookup_->Compute(context); }
  ort::KernelContext Look(const ort::Value& x) const {
    ort::KernelContext context = Context(x);
    Look(&context);
    return context;
  }
  ort::KernelContext FetchContext(const ort::KernelContext& looked) const {
    return {&fetch_info_, {looked.outputs[1], looked.outputs[2]}, std::vector<ort::Value>(1)};
  }
  void Compute(ort::KernelContext* context) const { fetch_->Compute(context); }
  ort::Value Fetch(const ort::KernelContext& looked) const {
    ort::KernelContext context = FetchContext(looked);
    fetch_->Compute(&context);
    return context.outputs[0];
  }
  // Makes entries of x.
  void Keep(const ort::Value& x) const {
    const ort::KernelContext looked = Look(x);
    const ort::Value computed = Kernels::Square(axis_ >= 0 ? looked.outputs[3] : x);
    ort::KernelContext merged{
        &store_info_, {looked.outputs[1], looked.outputs[2], computed}, std::vector<ort::Value>(1)};
    store_->Compute(&merged);
  }
  void EndSession() { lookup_.reset(); }

  const RegionCounters& counters() const { return region_.counters; }

 private:
  const Region& region_;
  const SessionSettings session_{"", Registry::Process().InternNamespace("")};
  const std::int64_t axis_;
  ort::KernelInfo info_;
  ort::KernelInfo fetch_info_;
  ort::KernelInfo store_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
  std::unique_ptr<CacheFetch> fetch_;
};

// Rows of kWidth numbers that begin with these, on axis 0 or 1.
ort::Value Wide(const Floats& rows, std::int64_t axis = 0) {
  Floats values(rows.size() * kWidth);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t i = 0; i < kWidth; ++i) {
      values[axis == 1 ? i * rows.size() + row : row * kWidth + i] =
          rows[row] + static_cast<float>(i);
    }
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  const auto width = static_cast<std::int64_t>(kWidth);
  return Batch(values, axis == 1 ? Dims{width, count} : Dims{count, width});
}

bool HandedOverBy(const ort::KernelContext& looked) {
  return PlanOf(looked).handed_over != kNothingHandedOver;
}
std::size_t Held() { return HandOverTable::Process().count(); }

TEST(Fetch, CopiesALargeHitThatTheLookupHasNotCopied) {
  const std::size_t held = Held();
  Fetching region("fetch");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(*looked.outputs[0].data(), std::byte{0});
  EXPECT_TRUE(HandedOverBy(looked));
  EXPECT_EQ(looked.outputs[2].info.dims, Dims{0});
  EXPECT_EQ(Held(), held + 1);
  const std::uint64_t copying = region.counters().copy_ns;
  ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Held(), held);
  EXPECT_GT(region.counters().copy_ns, copying);  // it is the fetch that took the time
}

TEST(Fetch, CopiesEqualRowsAndRowsOfOtherAxes) {
  for (const std::int64_t axis : {0, 1}) {
    Fetching region("fetch axis " + std::to_string(axis), "row", axis);
    region.Keep(Wide({1, 2, 3}, axis));
    const ort::Value x = Wide({3, 1, 3, 3, 2}, axis);
    const ort::KernelContext looked = region.Look(x);
    EXPECT_TRUE(HandedOverBy(looked));
    ExpectSquare(region.Fetch(looked), x);
  }
}

TEST(Fetch, CopiesWholeCalls) {
  Fetching region("fetch whole", "tensor");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  EXPECT_TRUE(HandedOverBy(looked));
  ExpectSquare(region.Fetch(looked), x);
}

TEST(Fetch, HandsOnWhatTheLookupHasCopied) {
  Fetching small("fetch small");
  const ort::Value few = Wide({1});  // of 32 KiB
  small.Keep(few);
  const ort::KernelContext looked = small.Look(few);
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(looked.outputs[2], few);
  ExpectSquare(small.Fetch(looked), few);

  Fetching without("fetch none", "row", 0, /*hands_over=*/false);  // as an older model has it
  const ort::Value x = Wide({1, 2, 3});
  without.Keep(x);
  ExpectSquare(without.Look(x).outputs[2], x);
}

TEST(Fetch, LookupsCopyWhatIsNotComplete) {
  Fetching region("fetch partly");
  region.Keep(Wide({1, 2, 3}));
  const ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  EXPECT_EQ(*looked.outputs[0].data(), std::byte{1});
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(looked.outputs[2], Wide({1, 2, 3}));
}

TEST(Fetch, DoesNotMindThatEntriesAreGone) {
  Fetching region("fetch evicted");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_GE(Store::Process().stats().bytes, x.words.size() * 8 - 8);  // counted as long
  ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Store::Process().stats().bytes, 0u);
}

TEST(Fetch, LookupsCopyWhereTheTableHasNoRoom) {
  Fetching region("fetch full");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  std::vector<ort::KernelContext> pending;
  while (pending.empty() || HandedOverBy(pending.back())) pending.push_back(region.Look(x));
  EXPECT_EQ(Held(), HandOverTable::kMost);
  for (const ort::KernelContext& looked : pending) ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Held(), 0u);

  Config::Process().Configure("budget_bytes", std::to_string(3 * x.words.size() * 8));
  const ort::KernelContext looked = region.Look(x);  // a quarter of the budget is less
  Config::Process().Configure("budget_bytes", std::nullopt);
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(region.Fetch(looked), x);
}

TEST(Fetch, ARunThatIsGivenUpHoldsItsEntriesUntilItsMemoryIsUsedAgain) {
  const std::size_t held = Held();
  Fetching region("fetch given up");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(Held(), held + 1);
  const ort::KernelContext other = region.Look(x);  // its plan lies elsewhere
  EXPECT_EQ(Held(), held + 2);
  const HandOverToken stale = PlanOf(looked).handed_over;
  for (ort::Value& output : looked.outputs) output.info.dims.clear();
  region.Look(&looked);
  EXPECT_EQ(Held(), held + 2);
  EXPECT_EQ(HandOverTable::Process().Take(stale), nullptr);
  ExpectSquare(region.Fetch(looked), x);
  ExpectSquare(region.Fetch(other), x);
}

TEST(Fetch, AnySmallCallEndsTheRunThatHadItsMemory) {
  const std::size_t held = Held();
  Fetching region("fetch given up, then small");
  const ort::Value x = Wide({1, 2, 3});
  const ort::Value few = Wide({1});
  region.Keep(x);
  ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(Held(), held + 1);
  for (ort::Value& output : looked.outputs) output.info.dims.clear();
  looked.inputs = {few};
  region.Look(&looked);
  EXPECT_EQ(Held(), held);
}

TEST(Fetch, ASessionThatEndsHoldsNothing) {
  const std::size_t held = Held();
  {
    Fetching region("fetch session");
    const ort::Value x = Wide({1, 2, 3});
    region.Keep(x);
    region.Look(x);
    EXPECT_EQ(Held(), held + 1);
    region.EndSession();
    EXPECT_EQ(Held(), held);
  }
}

TEST(Fetch, ALookupThatFailsHoldsNothing) {
  const std::size_t held = Held();
  Fetching region("fetch lookup fails");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  for (std::size_t output = 0; output < 4; ++output) {
    ort::KernelContext context = region.Context(x);
    context.failing_output = output;
    EXPECT_THROW(region.Look(&context), ort::Error);
    EXPECT_EQ(Held(), held);
  }
  ort::KernelContext unread = region.Context(x);
  unread.unread_output = 1;  // nobody can fetch
  region.Look(&unread);
  EXPECT_EQ(Held(), held);
}

TEST(Fetch, ThatFailsHoldsNothing) {
  const std::size_t held = Held();
  Fetching region("fetch fails");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  ort::KernelContext context = region.FetchContext(region.Look(x));
  context.failing_output = 0;
  EXPECT_THROW(region.Compute(&context), ort::Error);
  context = region.FetchContext(region.Look(x));
  context.unread_output = 0;
  region.Compute(&context);
  EXPECT_EQ(Held(), held);
}

void ExpectRefused(const Fetching& region, const ort::KernelContext& looked,
                   const std::string& why) {
  try {
    region.Fetch(looked);
    FAIL() << why;
  } catch (const ort::Error& error) {
    EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
  }
}

TEST(Fetch, RefusesWhatIsNotItsOwn) {
  Fetching region("fetch own");
  Fetching other("fetch other");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  other.Keep(x);
  ort::KernelContext looked = region.Look(x);
  ExpectRefused(other, looked, "it belongs to another region");
  // A plan of this region with the token of another.
  const ort::KernelContext foreign = other.Look(x);
  PlanHeader header = PlanOf(looked);
  header.handed_over = PlanOf(foreign).handed_over;
  std::memcpy(looked.outputs[1].data(), &header, sizeof(header));
  ExpectRefused(region, looked, "the plan is of another region");
  // A token that was used, or that nobody has.
  ExpectRefused(region, looked, "run it again");
  looked.outputs[1].data()[0] ^= std::byte{1};
  ExpectRefused(region, looked, "bad plan");
}

TEST(Fetch, RefusesAttributesThatDoNotFitTheNode) {
  const SessionSettings session{"", 0};
  const auto make = [&](const std::vector<ElementType>& inputs,
                        const std::vector<ElementType>& outputs, const std::string& region = "r") {
    ort::KernelInfo info;
    info.strings = {{"region", region}, {"fingerprint", "f"}};
    info.ints = {{"output_types", {1, 7}}};
    info.inputs = inputs;
    info.outputs = outputs;
    const CacheFetch fetch(fake::Api::Get(), &info, session);
  };
  const ElementType u8 = ElementType::kUint8;
  const ElementType f32 = ElementType::kFloat;
  const ElementType i64 = ElementType::kInt64;
  make({u8, f32, i64}, {f32, i64});
  EXPECT_THROW(make({u8, f32}, {f32, i64}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32}), ort::Error);
  EXPECT_THROW(make({u8, f32, f32}, {f32, i64}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32, u8}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32, i64}, ""), ort::Error);
}

}  // namespace
}  // namespace actcache
