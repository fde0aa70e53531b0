// The registry and the statistics made from it.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "metrics/stats_json.h"
#include "region/registry.h"
#include "rounds.h"

namespace actcache {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::uint64_t NumberAfter(const std::string& text, const std::string& name) {
  return std::stoull(text.substr(text.find("\"" + name + "\": ") + name.size() + 4));
}

TEST(Registry, KeepsOneRegionPerIdAndFingerprint) {
  Registry registry;
  Region& a = registry.InternRegion("encoder", "aaaaaaaaaa");
  Region& b = registry.InternRegion("encoder", "bbbbbbbbbb");
  EXPECT_EQ(&a, &registry.InternRegion("encoder", "aaaaaaaaaa"));
  EXPECT_NE(&a, &b);
  EXPECT_NE(a.number, b.number);
  const std::string json = StatsJson(registry, Store(0));
  EXPECT_TRUE(Contains(json, "{\"encoder\": {\"fingerprint\": \"aaaaaaaaaa\""));
  EXPECT_TRUE(Contains(json, "\"encoder@bbbbbbbb\": {\"fingerprint\": \"bbbbbbbbbb\""));
}

TEST(Stats, SecondsAreDecimalPointsInEveryLocale) {
  Registry registry;
  Region& region = registry.InternRegion("r", "f");
  region.counters.saved_ns = 12345000000789;
  EXPECT_TRUE(Contains(StatsJson(registry, Store(0)), "\"saved_seconds\": 12345.000000789"));
}

TEST(Stats, AreConsistentWhileTheyAreCounted) {
  Registry registry;
  Region& region = registry.InternRegion("r", "f");
  const Store store(0);
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back([&] {
      while (!done) {
        RegionCounters::Add(region.counters.hits, 3);
        RegionCounters::Add(region.counters.duplicates, 2);
        RegionCounters::Add(region.counters.joined, 1);
        RegionCounters::Add(region.counters.misses, 1);
        RegionCounters::Add(region.counters.expired, 1);
        RegionCounters::Add(region.counters.verified, 1);
        RegionCounters::Add(region.counters.mismatches, 1);
      }
    });
  }
  for (int i = 0; i < testing_support::Rounds(2000); ++i) {
    const std::string json = StatsJson(registry, store);
    EXPECT_EQ(
        NumberAfter(json, "lookups"),
        NumberAfter(json, "hits") + NumberAfter(json, "misses") + NumberAfter(json, "bypassed"));
    EXPECT_LE(NumberAfter(json, "duplicates"), NumberAfter(json, "hits"));
    EXPECT_LE(NumberAfter(json, "joined"), NumberAfter(json, "hits"));
    EXPECT_LE(NumberAfter(json, "expired"), NumberAfter(json, "misses"));
    EXPECT_LE(NumberAfter(json, "mismatches"), NumberAfter(json, "verified"));
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
}

}  // namespace
}  // namespace actcache
