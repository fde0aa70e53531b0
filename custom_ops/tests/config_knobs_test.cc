// Which of several settings of a knob counts, and what each knob takes.
#include "config/config.h"
#include "config/config_json.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "metrics/stats_json.h"

namespace actcache {
namespace {

using Entries = std::map<std::string, std::string>;

constexpr std::uint64_t kMemory = 1000;

Config::Reader Reading(const Entries& entries) {
  return [entries](const std::string& name) -> std::optional<std::string> {
    const auto found = entries.find(name);
    if (found == entries.end()) return std::nullopt;
    return found->second;
  };
}

struct Fixture {
  explicit Fixture(const Entries& environment = {})
      : config(Reading(environment), kMemory, [this](const KnobValues& values) {
          if (values.audit.path == "/refused") throw ConfigError("it cannot be opened");
          budget = values.budget_bytes;
          quota = values.namespace_quota_bytes;
          audit = values.audit;
        }) {}
  AuditSettings audit;
  std::size_t budget = 1;  // declared first: the constructor of `config` reports to them
  std::size_t quota = 1;
  Config config;
};

TEST(Config, StartsWithTheDefaults) {
  Fixture f;
  EXPECT_EQ(f.budget, kMemory / 8);
  EXPECT_EQ(f.quota, 0u);
  EXPECT_EQ(f.config.hash(), HashKind::kBlake3);
  EXPECT_EQ(f.config.verify_fraction(), 0);
  EXPECT_EQ(f.config.verify_tolerance(), 1e-4);
  EXPECT_EQ(f.config.on_mismatch(), OnMismatch::kEvict);
  EXPECT_TRUE(f.config.bypass() == BypassSetting{});
  EXPECT_TRUE(f.config.single_flight());
  const SessionKnobs session = f.config.RegisterSession(Reading({}));
  EXPECT_EQ(session.name_space, "");
  EXPECT_EQ(session.ttl_ns, kNeverExpires);
  EXPECT_EQ(session.max_age_ns, kAnyAge);
}

TEST(Config, TheDefaultBudgetIsModestOnLargeMachinesAndSmallOnSmallOnes) {
  EXPECT_EQ(DefaultBudget(std::uint64_t{64} << 30), std::size_t{256} << 20);
  EXPECT_EQ(DefaultBudget(std::uint64_t{512} << 20), std::size_t{64} << 20);
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

TEST(Config, SomeKnobsAreTheSessionsOwn) {
  Fixture f(Entries{{"ACTCACHE_NAMESPACE", "environment"}, {"ACTCACHE_TTL_SECONDS", "7"}});
  EXPECT_EQ(f.config.RegisterSession(Reading({})).name_space, "environment");
  f.config.Configure("namespace", "configured");
  f.config.Configure("max_entry_age", "2");
  const auto own = f.config.RegisterSession(Reading({{"actcache.namespace", ""},
                                                     {"actcache.ttl_seconds", "0.5"},
                                                     {"actcache.max_entry_age", "inf"}}));
  EXPECT_EQ(own.name_space, "");
  EXPECT_EQ(own.ttl_ns, 500000000u);
  EXPECT_EQ(own.max_age_ns, kAnyAge);
  const auto other = f.config.RegisterSession(Reading({}));
  EXPECT_EQ(other.name_space, "configured");
  EXPECT_EQ(other.ttl_ns, 7000000000u);
  EXPECT_EQ(other.max_age_ns, 2000000000u);
}

TEST(Config, EveryKnobReachesItsReaders) {
  Fixture f;
  f.config.Configure("verify_fraction", "0.25");
  f.config.Configure("verify_tolerance", "1e-6");
  f.config.Configure("on_mismatch", "disable");
  f.config.Configure("bypass", "off");
  f.config.Configure("single_flight", "off");
  f.config.Configure("namespace_quota_bytes", "10%");
  f.config.Configure("audit_path", "/a");
  f.config.Configure("audit_max_bytes", "1MiB");
  f.config.Configure("audit_files", "0");
  f.config.Configure("audit_buffer_bytes", "64KiB");
  EXPECT_TRUE(f.audit == (AuditSettings{"/a", 1 << 20, 0, 64 << 10}));
  EXPECT_EQ(f.config.verify_fraction(), 0.25);
  EXPECT_EQ(f.config.verify_tolerance(), 1e-6);
  EXPECT_EQ(f.config.on_mismatch(), OnMismatch::kDisable);
  EXPECT_FALSE(f.config.bypass().automatic);
  EXPECT_FALSE(f.config.single_flight());
  EXPECT_EQ(f.quota, kMemory / 8 / 10);
}

TEST(Config, CountsTheChangesOfBypass) {
  Fixture f;
  const auto changes = [&] { return f.config.bypass().changes; };
  f.config.Configure("bypass", "auto");  // as it was
  f.config.Configure("audit_files", "1");
  EXPECT_EQ(changes(), 0u);
  f.config.Configure("bypass", "off");
  f.config.Configure("bypass", std::nullopt);
  EXPECT_EQ(changes(), 2u);
  EXPECT_TRUE(f.config.bypass().automatic);
  f.config.RegisterSession(Reading({{"actcache.bypass", "off"}}));
  EXPECT_EQ(changes(), 3u);
  const Entries refused{{"actcache.bypass", "auto"}, {"actcache.audit_path", "/refused"}};
  EXPECT_THROW(f.config.RegisterSession(Reading(refused)), ConfigError);
  EXPECT_EQ(changes(), 3u);
  EXPECT_FALSE(Fixture(Entries{{"ACTCACHE_BYPASS", "off"}}).config.bypass().automatic);
}

TEST(Config, PercentagesFollowWhatTheyAreOf) {
  Fixture f;
  f.config.Configure("namespace_quota_bytes", "10%");
  f.config.Configure("budget_bytes", "50%");
  EXPECT_EQ(f.budget, kMemory / 2);
  EXPECT_EQ(f.quota, kMemory / 20);
}

TEST(Config, RefusesWhatItCannotReadAndChangesNothing) {
  const std::map<std::string, std::vector<std::string>> refused = {
      {"budget_bytes", {"", "-1", "1k", "1.", ".5", "101%", "1 0", "99999999999999999999999"}},
      {"hash", {"", "md5", "BLAKE3"}},
      {"namespace", {std::string(257, 'n')}},
      {"ttl_seconds", {"", "0", "-1", "nan", "1s", " 1"}},
      {"max_entry_age", {"", "0", "-inf", "1e999"}},
      {"verify_fraction", {"", "-0.1", "1.1", "nan", "5%"}},
      {"verify_tolerance", {"", "-1", "inf", "nan"}},
      {"on_mismatch", {"", "log"}},
      {"namespace_quota_bytes", {"", "-1", "x"}},
      {"bypass", {"", "on"}},
      {"single_flight", {"", "auto"}},
      {"portable", {"", "yes"}},
      {"metrics_path", {"/", "/nowhere/metrics.json"}},
      {"disk_budget_bytes", {"", "15MiB", "10%"}},
      {"remote_secret", {"of 15 bytes ..."}},
      {"remote_ttl_seconds", {"", "0", "-1", "nan"}},
      {"remote_max_value_bytes", {"", "0", "10%", "513MiB"}},
      {"remote_url", {"host", "http://host", "redis://:secret@host:port"}},
      {"audit_path", {"/refused"}},
      {"audit_max_bytes", {"", "0", "65535", "10%"}},
      {"audit_files", {"", "-1", "10000", "1.5", "1 "}},
      {"audit_buffer_bytes", {"", "63KiB", "100%"}}};
  // What these name is looked at when it is used.
  const std::vector<std::string> any = {
      "disk_path",      "remote_secret_file", "remote_password_file",
      "remote_ca_file", "remote_cert_file",   "remote_key_file"};
  Fixture f;
  const std::string before = ConfigJson(f.config.values());
  ASSERT_EQ(refused.size() + any.size(), kKnobCount);
  for (const auto& [name, texts] : refused) {
    for (const std::string& text : texts) {
      EXPECT_THROW(f.config.Configure(name, text), ConfigError) << name << " " << text;
      const Entries entries{{"actcache." + name, text}, {"actcache.budget_bytes", "1"}};
      EXPECT_THROW(f.config.RegisterSession(Reading(entries)), ConfigError) << name << " " << text;
    }
  }
  EXPECT_EQ(ConfigJson(f.config.values()), before);
  EXPECT_EQ(f.budget, kMemory / 8);
  EXPECT_THROW(Fixture(Entries{{"ACTCACHE_HASH", "md5"}}), ConfigError);
  EXPECT_THROW(Fixture(Entries{{"ACTCACHE_AUDIT_PATH", "/refused"}}), ConfigError);
}

std::string ComplaintOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(Config, SaysWhatIsWrongAndWhatItTakes) {
  Fixture f;
  EXPECT_EQ(ComplaintOf([&] { f.config.RegisterSession(Reading({{"actcache.hash", "md5"}})); }),
            "actcache: session config entry actcache.hash is \"md5\", but has to be \"blake3\" or "
            "\"xxh3\"");
  EXPECT_EQ(
      ComplaintOf([&] { f.config.Configure("budget", "1"); }),
      "actcache: there is no knob \"budget\"; the knobs are budget_bytes, hash, namespace, "
      "ttl_seconds, max_entry_age, verify_fraction, verify_tolerance, on_mismatch, "
      "namespace_quota_bytes, bypass, single_flight, disk_path, disk_budget_bytes, "
      "remote_secret, remote_secret_file, remote_password_file, remote_ca_file, remote_cert_file, "
      "remote_key_file, remote_ttl_seconds, remote_max_value_bytes, remote_url, portable, "
      "metrics_path, "
      "audit_path, "
      "audit_max_bytes, audit_files "
      "and audit_buffer_bytes");
}

TEST(Config, NeverShowsASecret) {
  Fixture f;
  const auto set = [&](const char* name, const char* text) {
    return ComplaintOf([&] { f.config.Configure(name, text); });
  };
  for (const std::string& complaint :
       {set("remote_url", "redis//ann:sesame@host"), set("remote_secret", "sesame")}) {
    EXPECT_NE(complaint.find("\"***\", but has to be"), std::string::npos) << complaint;
    EXPECT_EQ(complaint.find("sesame"), std::string::npos) << complaint;
  }
  EXPECT_EQ(set("remote_url", "redis://ann:sesame@host"), "nothing");
  EXPECT_EQ(set("remote_secret", "open sesame, please"), "nothing");
  const std::string json = ConfigJson(f.config.values());
  EXPECT_NE(json.find("\"redis://ann:***@host\", \"remote_secret\": \"***\""), std::string::npos);
  EXPECT_EQ(json.find("sesame"), std::string::npos);
}

TEST(Config, WritesJson) {
  Fixture f;
  f.config.Configure("namespace", "a\"b\n");
  f.config.Configure("ttl_seconds", "1.5");
  EXPECT_EQ(ConfigJson(f.config.values()),
            "{\"budget_bytes\": 125, \"hash\": \"blake3\", \"namespace\": \"a\\\"b\\u000a\", "
            "\"ttl_seconds\": 1.500000000, \"max_entry_age\": null, \"verify_fraction\": 0, "
            "\"verify_tolerance\": 1e-04, \"on_mismatch\": \"evict\", "
            "\"namespace_quota_bytes\": 0, \"bypass\": \"auto\", \"single_flight\": \"on\", "
            "\"disk_path\": \"\", \"disk_budget_bytes\": 0, \"remote_url\": \"\", "
            "\"remote_secret\": \"\", \"remote_secret_file\": \"\", "
            "\"remote_password_file\": \"\", \"remote_ttl_seconds\": 604800.000000000, "
            "\"remote_max_value_bytes\": 16777216, \"remote_ca_file\": \"\", "
            "\"remote_cert_file\": \"\", \"remote_key_file\": \"\", \"portable\": \"off\", "
            "\"metrics_path\": \"\", "
            "\"audit_path\": \"\", \"audit_max_bytes\": 268435456, "
            "\"audit_files\": 4, "
            "\"audit_buffer_bytes\": 8388608, \"memory_bytes\": 1000}");
}

}  // namespace
}  // namespace actcache
