// Which of several settings of a knob counts.
#include "control/config.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "control/stats_json.h"

namespace actcache {
namespace {

using Entries = std::map<std::string, std::string>;

Config::Lookup Reading(const Entries& entries) {
  return [entries](const std::string& name) -> std::optional<std::string> {
    const auto found = entries.find(name);
    if (found == entries.end()) return std::nullopt;
    return found->second;
  };
}

struct Fixture {
  explicit Fixture(const Entries& environment = {})
      : config(Reading(environment), [this](std::size_t bytes) { budget = bytes; }) {}
  std::size_t budget = 1;  // declared first: the constructor of `config` reports to it
  Config config;
};

TEST(Config, StartsWithTheDefaults) {
  Fixture f;
  EXPECT_EQ(f.budget, kDefaultBudgetBytes);
  EXPECT_EQ(f.config.hash(), HashKind::kBlake3);
  EXPECT_EQ(f.config.default_namespace(), "");
}

TEST(Config, TheFirstOfConfigureSessionAndEnvironmentWins) {
  Fixture f(Entries{{"ACTCACHE_BUDGET_BYTES", "10"}, {"ACTCACHE_HASH", "xxh3"}});
  EXPECT_EQ(f.budget, 10u);
  EXPECT_EQ(f.config.hash(), HashKind::kXxh3);
  f.config.RegisterSession(Reading({{"actcache.budget_bytes", "20"}}));
  EXPECT_EQ(f.budget, 20u);
  f.config.Configure("budget_bytes", "30");
  EXPECT_EQ(f.budget, 30u);
  f.config.RegisterSession(Reading({{"actcache.budget_bytes", "40"}}));
  EXPECT_EQ(f.budget, 30u);
  f.config.Configure("budget_bytes", std::nullopt);
  EXPECT_EQ(f.budget, 40u);
  f.config.RegisterSession(Reading({}));  // says nothing about it
  EXPECT_EQ(f.config.budget_bytes(), 40u);
}

TEST(Config, TheNamespaceIsTheSessionsOwn) {
  Fixture f(Entries{{"ACTCACHE_NAMESPACE", "environment"}});
  EXPECT_EQ(f.config.RegisterSession(Reading({})), "environment");
  f.config.Configure("namespace", "configured");
  EXPECT_EQ(f.config.RegisterSession(Reading({})), "configured");
  EXPECT_EQ(f.config.RegisterSession(Reading({{"actcache.namespace", "own"}})), "own");
  EXPECT_EQ(f.config.RegisterSession(Reading({{"actcache.namespace", ""}})), "");
  EXPECT_EQ(f.config.RegisterSession(Reading({})), "configured");
}

TEST(Config, RefusesWhatItCannotReadAndChangesNothing) {
  Fixture f;
  for (const char* bad : {"", "-1", "1k", " 1", "1.5", "99999999999999999999999"}) {
    EXPECT_THROW(f.config.Configure("budget_bytes", bad), ConfigError) << bad;
    EXPECT_THROW(f.config.RegisterSession(
                     Reading({{"actcache.hash", "xxh3"}, {"actcache.budget_bytes", bad}})),
                 ConfigError);
  }
  EXPECT_THROW(f.config.Configure("hash", "md5"), ConfigError);
  EXPECT_THROW(f.config.Configure("budget", "1"), ConfigError);
  EXPECT_EQ(f.budget, kDefaultBudgetBytes);
  EXPECT_EQ(f.config.hash(), HashKind::kBlake3);
  EXPECT_THROW(Fixture(Entries{{"ACTCACHE_HASH", "md5"}}), ConfigError);
}

TEST(Config, SaysWhatIsWrongAndWhatItTakes) {
  Fixture f;
  try {
    f.config.RegisterSession(Reading({{"actcache.hash", "md5"}}));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "actcache: session config entry actcache.hash is \"md5\", but has to be \"blake3\" "
        "or \"xxh3\"");
  }
}

TEST(Config, WritesJson) {
  Fixture f;
  f.config.Configure("namespace", "a\"b\n");
  EXPECT_EQ(
      ConfigJson(f.config),
      "{\"budget_bytes\": 268435456, \"hash\": \"blake3\", \"namespace\": \"a\\\"b\\u000a\"}");
}

}  // namespace
}  // namespace actcache
