// A region of one row of two numbers as several sessions would run it, on the fake runtime: what a
// call was given, and what it leaves.
#ifndef ACTCACHE_TESTS_OPS_FAKE_SESSION_H_
#define ACTCACHE_TESTS_OPS_FAKE_SESSION_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hash/key.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "region/registry.h"
#include "units/call_plan.h"

namespace actcache::fake {

using Account = std::vector<std::int64_t>;  // found, computed, passed
inline constexpr std::uint64_t kHour = std::uint64_t{3600} * 1'000'000'000;
inline const Account kHit{1, 0, 0};
inline const Account kMiss{0, 1, 0};
inline const Account kPassed{0, 0, 1};

// A region of one row of two numbers, in a session of its own.
class Session {
 public:
  explicit Session(std::string region, SessionSettings settings = {"", 0})
      : region_(std::move(region)), settings_(std::move(settings)) {
    lookup_info_.strings = {{"region", region_}, {"fingerprint", region_}, {"granularity", "row"}};
    lookup_info_.ints = {{"input_row_axes", {0}},
                         {"output_row_axes", {0}},
                         {"output_types", {1}},
                         {"size_equations", {}}};
    lookup_info_.numbers = {{"namespace_input", 1}, {"control_input", 2}, {"account", 1}};
    store_info_ = lookup_info_;
    lookup_info_.inputs = {ElementType::kFloat, ElementType::kString, ElementType::kString};
    lookup_info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                            ElementType::kFloat, ElementType::kInt64};
    store_info_.inputs = {ElementType::kUint8, ElementType::kFloat, ElementType::kFloat};
    store_info_.outputs = {ElementType::kFloat};
    lookup_ = std::make_unique<CacheLookup>(Api::Get(), &lookup_info_, settings_);
    store_ = std::make_unique<CacheStore>(Api::Get(), &store_info_, settings_);
  }

  // A call: the result is `value` twice if it is computed.
  struct Answer {
    Account account;
    PlanHeader plan;
    Key key{};         // of a row that is computed
    KeyTail tail{};    // likewise, if it has a name outside of the process
    float result = 0;  // what the model gives
  };
  Answer Call(float value, const std::string& control = "use") const {
    // As if computing took long: else no tier is waited for, or asked at all.
    Registry::Process().InternRegion(region_, region_).recompute_time.Add(1, kHour);
    ort::KernelContext looked{&lookup_info_,
                              {MakeValue(ElementType::kFloat, {1, 2}, std::vector<float>{3, 4}),
                               MakeStrings({}, {"tenant"}), MakeStrings({}, {control})},
                              std::vector<ort::Value>(5)};
    lookup_->Compute(&looked);
    Answer answer;
    answer.account = Read<std::int64_t>(looked.outputs[4]);
    std::memcpy(&answer.plan, looked.outputs[1].data(), sizeof(answer.plan));
    if (*looked.outputs[0].data() == std::byte{0}) {
      answer.result = Read<float>(looked.outputs[2]).at(0);
      return answer;
    }
    const std::byte* const keys = looked.outputs[1].data() + sizeof(PlanHeader);
    if (answer.plan.missing > 0) std::memcpy(&answer.key, keys, sizeof(Key));
    if (answer.plan.tails != 0) std::memcpy(&answer.tail, keys + sizeof(Key), sizeof(KeyTail));
    const ort::Value computed =
        MakeValue(ElementType::kFloat, {1, 2}, std::vector<float>{value, value});
    ort::KernelContext merged{
        &store_info_, {looked.outputs[1], looked.outputs[2], computed}, std::vector<ort::Value>(1)};
    store_->Compute(&merged);
    answer.result = Read<float>(merged.outputs[0]).at(0);
    return answer;
  }

  const Region& region() const { return Registry::Process().InternRegion(region_, region_); }

 private:
  const std::string region_;
  const SessionSettings settings_;
  ort::KernelInfo lookup_info_;
  ort::KernelInfo store_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
};

}  // namespace actcache::fake

#endif  // ACTCACHE_TESTS_OPS_FAKE_SESSION_H_
