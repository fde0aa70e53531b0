// Settings that are misspelt are told, with what is meant.
#include "config/misspelt.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "config/knobs.h"

namespace actcache {
namespace {

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

TEST(Misspelt, KnownNamesAreNotTold) {
  for (const Knob& knob : kKnobs) {
    EXPECT_EQ(AboutEntry(std::string("actcache.") + knob.name), std::nullopt);
    EXPECT_EQ(AboutVariable("ACTCACHE_" + Upper(knob.name)), std::nullopt);
  }
  EXPECT_EQ(AboutEntry("actcache.registered_library"), std::nullopt);
  EXPECT_EQ(AboutVariable("ACTCACHE_LIBRARY"), std::nullopt);
}

TEST(Misspelt, VariablesThatComeCloseAreTold) {
  EXPECT_EQ(AboutVariable("ACTCACHE_BUDGET_BYTE"),
            "the environment variable ACTCACHE_BUDGET_BYTE has no effect; is ACTCACHE_BUDGET_BYTES "
            "meant?");
  for (const char* name : {"ACTCACHE_BUDGET", "ACTCACHE_budget_bytes", "ACTCACHE_HSAH",
                           "ACTCACHE_TTL_SECOND", "ACTCACHE_VERIFY_FRACTIONS"}) {
    EXPECT_NE(AboutVariable(name), std::nullopt) << name;
  }
}

TEST(Misspelt, VariablesOfOthersAreNot) {
  for (const char* name : {"PATH", "BUDGET_BYTES", "ACTCACHE_MODELS", "ACTCACHE_", "ACTCACHE"}) {
    EXPECT_EQ(AboutVariable(name), std::nullopt) << name;
  }
}

TEST(Misspelt, EveryUnknownEntryOfOursIsTold) {
  EXPECT_EQ(AboutEntry("actcache.name_space"),
            "the session config entry actcache.name_space has no effect; is actcache.namespace "
            "meant?");
  EXPECT_NE(AboutEntry("actcache.whatever_this_is"), std::nullopt);
  EXPECT_EQ(AboutEntry("session.intra_op.allow_spinning"), std::nullopt);
}

}  // namespace
}  // namespace actcache
