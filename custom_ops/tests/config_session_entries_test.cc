// Which config entries of a session are part of its keys.
#include "config/session_entries.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace actcache {
namespace {

TEST(SessionEntries, WhatIsKnownToLeaveValuesAloneIsLeftOut) {
  EXPECT_EQ(ValueEntries({}), "");
  EXPECT_EQ(ValueEntries({{"actcache.namespace", "a"},
                          {"session.intra_op.allow_spinning", "0"},
                          {"session.use_env_allocators", "1"}}),
            "");
  EXPECT_NE(ValueEntries({{"session.set_denormal_as_zero", "1"}}), "");
}

TEST(SessionEntries, WhatIsUnknownCounts) {
  // Only what the list names is left out: not what begins alike, nor what it begins with.
  for (const char* name : {"", "actcache", "a", "session.use_env_allocators2", "session.use_env",
                           "session.", "ep.some.day", "session.intra_op_num_threads"}) {
    EXPECT_FALSE(LeavesValues(name)) << name;
    EXPECT_NE(ValueEntries({{name, ""}}), "") << name;
  }
}

TEST(SessionEntries, NamesAndValuesAreFramed) {
  EXPECT_NE(ValueEntries({{"ab", "c"}}), ValueEntries({{"a", "bc"}}));
  EXPECT_NE(ValueEntries({{"a", "b"}, {"c", "d"}}), ValueEntries({{"a", "bcd"}}));
  EXPECT_NE(ValueEntries({{"a", ""}}), ValueEntries({{"a", "0"}}));
  const std::string one = ValueEntries({{"x.a", "1"}, {"x.b", "2"}});
  EXPECT_EQ(one, ValueEntries({{"x.b", "2"}, {"x.a", "1"}}));
}

TEST(SessionEntries, OlderRuntimesAreAskedForWhatMatters) {
  const std::vector<std::string> known = KnownEntries();
  const auto asked = [&](const char* name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  EXPECT_TRUE(asked("actcache.namespace"));
  EXPECT_TRUE(asked("optimization.enable_gelu_approximation"));
  for (const std::string& name : known) {
    EXPECT_EQ(LeavesValues(name), name.substr(0, 9) == "actcache.") << name;
  }
}

}  // namespace
}  // namespace actcache
