// What a call says about its own lookups, and the account it is given, on a fake runtime.
#include "ops/per_call.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "config/knobs.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "region/registry.h"
#include "units/call_plan.h"

namespace actcache {
namespace {

using fake::MakeStrings;
using fake::MakeValue;
using Numbers = std::vector<std::int64_t>;

// y = x on [N, 2], with all that a call may say.
ort::KernelInfo LookupInfo(const std::string& id) {
  ort::KernelInfo info;
  info.strings = {{"region", id}, {"fingerprint", id}, {"granularity", "row"}};
  info.ints = {{"input_row_axes", {0}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {}}};
  info.numbers = {{"namespace_input", 1}, {"control_input", 2}, {"account", 1}};
  info.inputs = {ElementType::kFloat, ElementType::kString, ElementType::kString};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat, ElementType::kFloat,
                  ElementType::kInt64};
  return info;
}

class PerCall : public testing::Test {
 protected:
  static std::string Name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  // One call of the lookup and, where something is missing, of the store.
  struct Answer {
    Numbers account;
    CallPlan plan;  // without its arrays
    std::vector<std::uint8_t> flags;
  };

  Answer Run(const std::vector<float>& x, const ort::Value& name_space, const ort::Value& control) {
    const auto rows = static_cast<std::int64_t>(x.size() / 2);
    ort::KernelContext context{&lookup_info_,
                               {MakeValue(ElementType::kFloat, {rows, 2}, x), name_space, control},
                               std::vector<ort::Value>(5)};
    lookup_.Compute(&context);
    const ort::Value& bytes = context.outputs[1];
    Answer answer;
    answer.account = fake::Read<std::int64_t>(context.outputs[4]);
    EXPECT_EQ(context.outputs[4].info.dims, (Dims{1, 3}));
    const Region& region = Registry::Process().InternRegion(Name(), Name());
    EXPECT_EQ(DecodePlan(bytes.data(), ElementCount(bytes.info.dims), region.number, &answer.plan),
              nullptr);
    answer.flags.assign(answer.plan.flags, answer.plan.flags + answer.plan.missing);
    if (*context.outputs[0].data() == std::byte{1}) {
      ort::KernelContext merge{&store_info_,
                               {bytes, context.outputs[2], context.outputs[3]},
                               std::vector<ort::Value>(1)};
      store_.Compute(&merge);
    }
    return answer;
  }
  Answer Run(const std::vector<float>& x, const std::string& name_space,
             const std::string& control) {
    return Run(x, MakeStrings({}, {name_space}), MakeStrings({}, {control}));
  }

 private:
  static ort::KernelInfo StoreInfo() {
    ort::KernelInfo info = LookupInfo(Name());
    info.inputs = {ElementType::kUint8, ElementType::kFloat, ElementType::kFloat};
    info.outputs = {ElementType::kFloat};
    return info;
  }

  const SessionSettings session_{"", Registry::Process().InternNamespace("")};
  const ort::KernelInfo lookup_info_ = LookupInfo(Name());
  const ort::KernelInfo store_info_ = StoreInfo();
  const CacheLookup lookup_{fake::Api::Get(), &lookup_info_, session_};
  const CacheStore store_{fake::Api::Get(), &store_info_, session_};
};

TEST_F(PerCall, TheAccountAddsUp) {
  EXPECT_EQ(Run({1, 1, 2, 2, 1, 1}, "a", "use").account, (Numbers{1, 2, 0}));
  EXPECT_EQ(Run({3, 3, 2, 2}, "a", "use").account, (Numbers{1, 1, 0}));
  EXPECT_EQ(Run({3, 3, 2, 2}, "a", "use").account, (Numbers{2, 0, 0}));
  EXPECT_EQ(Run({3, 3, 2, 2}, "a", "bypass").account, (Numbers{0, 0, 2}));
  EXPECT_EQ(Run({}, "a", "use").account, (Numbers{0, 0, 0}));
}

TEST_F(PerCall, NamespacesAreApartAndStandInThePlan) {
  const std::string odd("t\0\xc3\xbc", 4);
  const std::string longest(kMaxNamespaceBytes, 'n');
  for (const std::string& name : {std::string(), std::string("a"), odd, longest}) {
    const Answer cold = Run({1, 1}, name, "use");
    EXPECT_EQ(cold.account, (Numbers{0, 1, 0}));
    EXPECT_EQ(cold.plan.name_space, Registry::Process().InternNamespace(name));
    EXPECT_EQ(Run({1, 1}, name, "use").account, (Numbers{1, 0, 0}));
  }
}

TEST_F(PerCall, ANamespaceWithoutANumberIsNotCached) {
  const std::string too_long(kMaxNamespaceBytes + 1, 'n');
  EXPECT_EQ(Run({1, 1}, too_long, "use").account, (Numbers{0, 0, 1}));
  EXPECT_EQ(Run({1, 1}, too_long, "refresh").account, (Numbers{0, 0, 1}));
}

TEST_F(PerCall, BypassLeavesNothing) {
  EXPECT_EQ(Run({1, 1}, "a", "bypass").plan.kind, PlanKind::kPass);
  EXPECT_EQ(Run({1, 1}, "a", "use").account, (Numbers{0, 1, 0}));
}

TEST_F(PerCall, RefreshComputesEachRowOnceToReplaceIt) {
  Run({1, 1}, "a", "use");
  const Answer answer = Run({1, 1, 2, 2, 1, 1}, "a", "refresh");
  EXPECT_EQ(answer.account, (Numbers{1, 2, 0}));  // the third row is the first one's
  EXPECT_EQ(answer.flags, (std::vector<std::uint8_t>{kReplace, kReplace}));
  EXPECT_EQ(Run({2, 2}, "a", "use").account, (Numbers{1, 0, 0}));
}

TEST_F(PerCall, WhatCannotBeReplacedIsForgotten) {
  Run({1, 1}, "a", "use");
  FailAllocationsFromForTest(1);
  const Answer answer = Run({1, 1}, "a", "refresh");
  FailAllocationsFromForTest(0);
  EXPECT_EQ(answer.account, (Numbers{0, 1, 0}));
  EXPECT_EQ(Run({1, 1}, "a", "use").account, (Numbers{0, 1, 0}));
  EXPECT_EQ(Run({1, 1}, "a", "use").account, (Numbers{1, 0, 0}));
}

TEST_F(PerCall, WhatCannotBeReadFailsTheRun) {
  for (const char* word : {"", "Use", "use ", "skip"}) {
    try {
      Run({1, 1}, "a", word);
      ADD_FAILURE() << "took \"" << word << '"';
    } catch (const ort::Error& error) {
      EXPECT_NE(std::string(error.what()).find("\"use\", \"bypass\" or \"refresh\""),
                std::string::npos);
    }
  }
  const ort::Value use = MakeStrings({}, {"use"});
  EXPECT_THROW(Run({1, 1}, MakeStrings({2}, {"a", "b"}), use), ort::Error);
  EXPECT_THROW(Run({1, 1}, MakeStrings({0}, {}), use), ort::Error);
}

TEST_F(PerCall, AttributesThatDoNotFitTheNodeAreRefused) {
  const auto make = [](const std::function<void(ort::KernelInfo*)>& change) {
    ort::KernelInfo info = LookupInfo("refused");
    change(&info);
    const SessionSettings session{"", 0};
    const CacheLookup lookup(fake::Api::Get(), &info, session);
  };
  make([](ort::KernelInfo*) {});
  make([](ort::KernelInfo* i) {
    i->numbers = {{"namespace_input", 2}, {"control_input", 1}, {"account", 1}};
  });
  const std::vector<std::function<void(ort::KernelInfo*)>> changes = {
      [](ort::KernelInfo* i) { i->numbers["namespace_input"] = 0; },
      [](ort::KernelInfo* i) { i->numbers["namespace_input"] = 2; },
      [](ort::KernelInfo* i) { i->numbers["namespace_input"] = 3; },
      [](ort::KernelInfo* i) { i->numbers.erase("namespace_input"); },
      [](ort::KernelInfo* i) { i->numbers.erase("control_input"); },
      [](ort::KernelInfo* i) { i->numbers.erase("account"); },
      [](ort::KernelInfo* i) { i->inputs.pop_back(); },
      [](ort::KernelInfo* i) { i->inputs[1] = ElementType::kFloat; },
      [](ort::KernelInfo* i) { i->inputs[2] = ElementType::kInt64; },
      [](ort::KernelInfo* i) { i->outputs[4] = ElementType::kInt32; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_THROW(make(changes[i]), ort::Error) << "change " << i;
  }
}

}  // namespace
}  // namespace actcache
