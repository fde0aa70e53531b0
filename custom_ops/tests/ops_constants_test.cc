// CacheConstants: what it hands on, and what lookups in the branches behind it know of constants.
#include "ops/cache_constants.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "ops_fake_lookup.h"

namespace actcache {
namespace {

using fake::Floats;
using fake::Lookup;
using fake::MakeValue;
using fake::Vector;
using fake::Words;
using Flags = std::vector<std::uint8_t>;

// One in front of an If. It shows a constant of the graph around, which has the number 7.
struct Shown {
  ort::KernelInfo info;

  explicit Shown(const Floats& constant, const std::string& name = "scope") {
    info.strings = {{"region", name}};
    info.ints = {{"constants", {7}}};
    info.inputs = {ElementType::kBool, ElementType::kFloat};
    info.outputs = {ElementType::kBool};
    info.constants[1] = Vector(constant);
  }

  std::unique_ptr<CacheConstants> Load() const {
    return std::make_unique<CacheConstants>(fake::Api::Get(), &info, SessionSettings{"", 0});
  }
};

// In a branch, behind the one called "scope". The runtime does not show it the constant.
struct InBranch : Lookup {
  InBranch() {
    info.strings["outer"] = "scope";
    info.ints["constants"] = {};
    info.inputs.pop_back();
    info.constants.clear();
  }
};

class Constants : public testing::Test {
 protected:
  // All calls miss, which would turn looking up off.
  void SetUp() override { Config::Process().Configure("bypass", "off"); }
  void TearDown() override { Config::Process().Configure("bypass", std::nullopt); }
};

TEST_F(Constants, TheConditionIsHandedOnAsItIs) {
  const Shown shown({1, 2, 3});
  for (const Dims& dims : {Dims{}, Dims{1}}) {
    for (const std::uint8_t flag : Flags{0, 1}) {
      const ort::Value condition = MakeValue(ElementType::kBool, dims, Flags{flag});
      ort::KernelContext context{
          &shown.info, {condition, Vector({1, 2, 3})}, std::vector<ort::Value>(1)};
      shown.Load()->Compute(&context);
      EXPECT_EQ(context.outputs[0].info.type, ElementType::kBool);
      EXPECT_EQ(context.outputs[0].info.dims, dims);
      EXPECT_EQ(fake::Read<std::uint8_t>(context.outputs[0]), Flags{flag});
    }
  }
}

TEST_F(Constants, NobodyHasToReadTheCondition) {
  const Shown shown({1});
  ort::KernelContext context{&shown.info,
                             {MakeValue(ElementType::kBool, Dims{}, Flags{1}), Vector({1})},
                             std::vector<ort::Value>(1)};
  context.unread_output = 0;
  EXPECT_NO_THROW(shown.Load()->Compute(&context));
  context.unread_output = ~std::size_t{0};
  context.failing_output = 0;
  EXPECT_THROW(shown.Load()->Compute(&context), ort::Error);
}

TEST_F(Constants, KeysInBranchesCoverWhatItShows) {
  std::set<Words> seen;
  for (const Floats& value : {Floats{1, 2, 3}, Floats{1, 2, 4}}) {
    const auto kernel = Shown(value).Load();
    const Words key = InBranch().Key();
    EXPECT_EQ(InBranch().Key(), key);  // of the other branch
    seen.insert(key);
    Lookup plain;  // a region of the main graph, which is shown the constant itself
    plain.info.constants[1] = Vector(value);
    EXPECT_EQ(plain.Key(), key);
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(Constants, SessionsWithTheSameConstantsShare) {
  const auto one = Shown({1, 2, 3}).Load();
  const Words key = InBranch().Key();
  const auto other = Shown({1, 2, 3}).Load();
  EXPECT_EQ(InBranch().Key(), key);
}

TEST_F(Constants, AnotherIfsAreNotTaken) {
  const auto wanted = Shown({1, 2, 3}).Load();
  const Words key = InBranch().Key();
  const auto other = Shown({5}, "another").Load();
  EXPECT_EQ(InBranch().Key(), key);
}

// Of a constant that is not known, nothing is taken for granted: no session has another one's keys.
TEST_F(Constants, WithoutAConstantKeysAreTheSessionsOwn) {
  Shown hidden({1});
  hidden.info.constants.clear();
  const auto kernel = hidden.Load();
  EXPECT_NE(InBranch().Key(), InBranch().Key());
}

TEST_F(Constants, WithoutItKeysAreTheSessionsOwn) {
  EXPECT_NE(InBranch().Key(), InBranch().Key());
  auto kernel = Shown({1, 2, 3}).Load();
  EXPECT_EQ(InBranch().Key(), InBranch().Key());
  kernel.reset();  // its session ends
  EXPECT_NE(InBranch().Key(), InBranch().Key());
}

TEST_F(Constants, AConstantWithAnotherValueInTheBranchIsRefused) {
  const auto kernel = Shown({1, 2, 3}).Load();
  Lookup inner;
  inner.info.strings["outer"] = "scope";
  EXPECT_NO_THROW(inner.Load());
  inner.info.constants[1] = Vector({1, 2, 4});
  EXPECT_THROW(inner.Load(), ort::Error);
}

TEST_F(Constants, InputsThatAreNotConstantsAreRefused) {
  Shown more({1});
  more.info.inputs.push_back(ElementType::kFloat);
  Shown none({1});
  none.info.inputs.pop_back();
  for (const Shown& shown : {more, none}) {
    try {
      shown.Load();
      ADD_FAILURE() << "it was taken";
    } catch (const ort::Error& error) {
      const std::string said = error.what();
      EXPECT_NE(said.find("scope"), std::string::npos) << said;
      EXPECT_NE(said.find("inputs for 1 constants"), std::string::npos) << said;
    }
  }
}

TEST_F(Constants, AttributesThatAreMissingAreTold) {
  Shown nameless({1});
  nameless.info.strings.clear();
  EXPECT_THROW(nameless.Load(), ort::Error);
  Shown numberless({1});
  numberless.info.ints.clear();
  EXPECT_THROW(numberless.Load(), ort::Error);
}

}  // namespace
}  // namespace actcache
