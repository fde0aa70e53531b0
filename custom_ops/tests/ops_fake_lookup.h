// A lookup of one row of a region with a constant, in a session of its own, on the fake runtime:
// what its kernel takes into the key.
#ifndef ACTCACHE_TESTS_OPS_FAKE_LOOKUP_H_
#define ACTCACHE_TESTS_OPS_FAKE_LOOKUP_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hash/key.h"
#include "ops/cache_lookup.h"
#include "ops_fake_runtime.h"
#include "units/call_plan.h"

namespace actcache::fake {

using Floats = std::vector<float>;
using Words = std::pair<std::uint64_t, std::uint64_t>;

inline ort::Value Vector(const Floats& values) {
  return MakeValue(ElementType::kFloat, Dims{static_cast<std::int64_t>(values.size())}, values);
}

// Its attributes and inputs may be changed before it is loaded.
struct Lookup {
  ort::KernelInfo info;
  SessionSettings session{"", 0};

  Lookup() {
    info.strings = {{"region", "keys"}, {"fingerprint", "f"}, {"granularity", "row"}};
    info.ints = {{"input_row_axes", {0}}, {"output_row_axes", {0}}, {"output_types", {1}},
                 {"size_equations", {}},  {"constants", {7}},       {"key_constants", {7}}};
    info.numbers = {{"all_constants", 1}};
    info.inputs = {ElementType::kFloat, ElementType::kFloat};
    info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                    ElementType::kFloat};
    info.constants[1] = Vector({1, 2, 3});
    session.runtime = "1.32.0";
    session.model = "model";
  }

  // A call says its namespace.
  void TakeNamespace(const std::string& name) {
    info.numbers["namespace_input"] = 1;
    info.numbers["control_input"] = 2;
    info.numbers["account"] = 1;
    info.inputs = {ElementType::kFloat, ElementType::kString, ElementType::kString,
                   ElementType::kFloat};
    info.outputs.push_back(ElementType::kInt64);
    info.constants = {{3, info.constants[1]}};
    said = {MakeStrings({}, {name}), MakeStrings({}, {"use"})};
  }

  std::unique_ptr<CacheLookup> Load() const {
    return std::make_unique<CacheLookup>(Api::Get(), &info, session);
  }

  // The plan of a call with the row (1, 2) and as many different rows as make `rows`.
  ort::Value Plan(std::size_t rows) const {
    Floats values;
    for (std::size_t row = 0; row < rows; ++row) {
      values.insert(values.end(), {1.0F + static_cast<float>(row), 2.0F});
    }
    const Dims dims{static_cast<std::int64_t>(rows), 2};
    ort::KernelContext context{
        &info, {MakeValue(ElementType::kFloat, dims, values)}, std::vector<ort::Value>(5)};
    context.inputs.insert(context.inputs.end(), said.begin(), said.end());
    context.inputs.push_back(Vector({0}));
    Load()->Compute(&context);
    return context.outputs[1];
  }

  // The key of that row, and what it means.
  Words Key(std::size_t rows = 1) const {
    const ort::Value plan = Plan(rows);
    PlanHeader header;
    std::memcpy(&header, plan.data(), sizeof(header));
    EXPECT_EQ(header.missing, rows);
    actcache::Key key{};
    std::memcpy(&key, plan.data() + sizeof(header), sizeof(key));
    return {key.words[0], key.words[1]};
  }
  // Of such a call.
  PlanKind Kind() const {
    const ort::Value plan = Plan(1);
    PlanHeader header;
    std::memcpy(&header, plan.data(), sizeof(header));
    return header.kind;
  }

  std::vector<ort::Value> said;
};

}  // namespace actcache::fake

#endif  // ACTCACHE_TESTS_OPS_FAKE_LOOKUP_H_
