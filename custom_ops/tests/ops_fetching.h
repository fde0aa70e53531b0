// The kernels of a region with large results, whose branches copy what CacheLookup hands over, on
// the fake runtime, one step of a Run at a time.
#ifndef ACTCACHE_TESTS_OPS_FETCHING_H_
#define ACTCACHE_TESTS_OPS_FETCHING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/cache_fetch.h"
#include "ops_squares.h"

namespace actcache {

inline constexpr std::size_t kWidth = 8192;  // of a row: 32 KiB

// A region that squares, whose branches copy what is found.
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
    if (hands_over) {
      info_.numbers["hands_over"] = 1;
      info_.ints["store_fetches"] = {0};
    }
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
  // The call of CacheStore, after the region has squared what is missing.
  ort::KernelContext StoreContext(const ort::KernelContext& looked) const {
    const ort::Value& missing = axis_ >= 0 ? looked.outputs[3] : looked.inputs[0];
    return {&store_info_,
            {looked.outputs[1], looked.outputs[2], Kernels::Square(missing)},
            std::vector<ort::Value>(1)};
  }
  void Store(ort::KernelContext* context) const { store_->Compute(context); }
  ort::Value Merge(const ort::KernelContext& looked) const {
    ort::KernelContext context = StoreContext(looked);
    store_->Compute(&context);
    return context.outputs[0];
  }
  ort::Value Fetch(const ort::KernelContext& looked) const {
    ort::KernelContext context = FetchContext(looked);
    fetch_->Compute(&context);
    return context.outputs[0];
  }
  // Makes entries of x.
  void Keep(const ort::Value& x) const { Merge(Look(x)); }
  void EndSession() { lookup_.reset(); }

  const RegionCounters& counters() const { return region_.counters; }
  RegionPolicy& policy() const { return region_.policy; }

 private:
  Region& region_;
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
inline ort::Value Wide(const Floats& rows, std::int64_t axis = 0) {
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

inline bool HandedOverBy(const ort::KernelContext& looked) {
  return PlanOf(looked).handed_over != kNothingHandedOver;
}
inline std::size_t Held() { return HandOverTable::Process().count(); }

inline void ExpectRefused(const std::function<void()>& run, const std::string& why) {
  try {
    run();
    FAIL() << why;
  } catch (const ort::Error& error) {
    EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
  }
}

}  // namespace actcache

#endif  // ACTCACHE_TESTS_OPS_FETCHING_H_
