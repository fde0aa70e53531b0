#include "metrics/prometheus_text.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "audit/audit_log.h"
#include "base/utf8.h"
#include "policy/region_policy.h"
#include "tier/tiers.h"

#ifndef ACTCACHE_VERSION
#error "the build defines ACTCACHE_VERSION"
#endif

namespace actcache {
namespace {

// Disjoint, so that their sum is the number of rows looked up. In the order of CountOutcomes().
constexpr const char* kOutcomeNames[] = {"hit",     "duplicate", "joined",  "miss",
                                         "expired", "verified",  "bypassed"};

constexpr RegionState kStates[] = {RegionState::kActive, RegionState::kBypassed,
                                   RegionState::kDisabled};

struct RegionMetric {
  const char* name;
  const char* type;
  const char* help;
  std::uint64_t (*value)(const RegionSnapshot& region);
  bool nanoseconds = false;  // of the value; written as seconds
};

constexpr RegionMetric kRegionMetrics[] = {
    {"actcache_calls_total", "counter", "Lookups, each of one row or many.",
     [](const RegionSnapshot& r) { return r.calls; }},
    {"actcache_compared_rows_total", "counter",
     "Verified rows whose entry another session had made.",
     [](const RegionSnapshot& r) { return r.compared; }},
    {"actcache_mismatches_total", "counter", "Verified rows that differed from their entry.",
     [](const RegionSnapshot& r) { return r.mismatches; }},
    {"actcache_sessions_kept_apart_total", "counter",
     "Sessions that use no entries of others since a row differed.",
     [](const RegionSnapshot& r) { return r.kept_apart; }},
    {"actcache_stored_rows_total", "counter", "Computed rows that were stored.",
     [](const RegionSnapshot& r) { return r.stored; }},
    {"actcache_not_admitted_rows_total", "counter", "Computed rows that were not stored.",
     [](const RegionSnapshot& r) { return r.not_admitted; }},
    {"actcache_first_sight_rows_total", "counter",
     "Computed rows that were not stored, as nothing repeated so far.",
     [](const RegionSnapshot& r) { return r.first_sights; }},
    {"actcache_anomalies_total", "counter", "Calls whose results were not one row per row.",
     [](const RegionSnapshot& r) { return r.anomalies; }},
    {"actcache_evictions_total", "counter", "Entries that made room for others.",
     [](const RegionSnapshot& r) { return r.usage.evictions; }},
    {"actcache_saved_seconds_total", "counter", "Time that computing the hits would have taken.",
     [](const RegionSnapshot& r) { return r.saved_ns; }, true},
    {"actcache_overhead_seconds_total", "counter",
     "Time spent in the cache's operators, hashing and copying included.",
     [](const RegionSnapshot& r) { return r.overhead_ns; }, true},
    {"actcache_hash_seconds_total", "counter", "Time spent hashing inputs.",
     [](const RegionSnapshot& r) { return r.hash_ns; }, true},
    {"actcache_copy_seconds_total", "counter", "Time spent copying rows.",
     [](const RegionSnapshot& r) { return r.copy_ns; }, true},
    {"actcache_compute_seconds_total", "counter", "Time spent computing what was missing.",
     [](const RegionSnapshot& r) { return r.compute_ns; }, true},
    {"actcache_bypass_switches_total", "counter", "How often the region became bypassed.",
     [](const RegionSnapshot& r) { return r.policy.switches; }},
    {"actcache_probes_total", "counter", "How often the bypassed region was tried again.",
     [](const RegionSnapshot& r) { return r.policy.probes; }},
    {"actcache_fed_calls_total", "counter",
     "Calls of the bypassed region that were looked up and stored for other processes.",
     [](const RegionSnapshot& r) { return r.policy.fed; }},
    {"actcache_region_bytes", "gauge", "Bytes held for the region.",
     [](const RegionSnapshot& r) { return std::uint64_t{r.usage.bytes}; }},
    {"actcache_region_pinned_bytes", "gauge", "Bytes of the region's entries that are pinned.",
     [](const RegionSnapshot& r) { return std::uint64_t{r.usage.pinned_bytes}; }},
};

struct StoreMetric {
  const char* name;
  const char* type;
  const char* help;
  std::uint64_t (*value)(const StoreStats& store);
};

constexpr StoreMetric kStoreMetrics[] = {
    {"actcache_entries", "gauge", "Entries that can be found.",
     [](const StoreStats& s) { return std::uint64_t{s.entries}; }},
    {"actcache_store_bytes", "gauge", "Bytes held by the store.",
     [](const StoreStats& s) { return std::uint64_t{s.bytes}; }},
    {"actcache_store_budget_bytes", "gauge", "Bytes that the store may hold.",
     [](const StoreStats& s) { return std::uint64_t{s.budget_bytes}; }},
    {"actcache_pinned_bytes", "gauge", "Bytes of entries that are pinned.",
     [](const StoreStats& s) { return std::uint64_t{s.pinned_bytes}; }},
    {"actcache_insertions_total", "counter", "Entries stored.",
     [](const StoreStats& s) { return s.insertions; }},
    {"actcache_rejections_total", "counter", "Entries refused: too large, or not worth their room.",
     [](const StoreStats& s) { return s.rejected; }},
    {"actcache_expirations_total", "counter", "Entries asked for after their time to live.",
     [](const StoreStats& s) { return s.expired; }},
    {"actcache_invalidations_total", "counter", "Entries removed on demand.",
     [](const StoreStats& s) { return s.invalidated; }},
    {"actcache_replacements_total", "counter", "Entries replaced by later ones of the same key.",
     [](const StoreStats& s) { return s.replaced; }},
};

struct AuditMetric {
  const char* name;
  const char* help;
  std::uint64_t (*value)(const AuditCounts& audit);
};

constexpr AuditMetric kAuditMetrics[] = {
    {"actcache_audit_events_total", "Events written to the audit log.",
     [](const AuditCounts& a) { return a.written.load(std::memory_order_relaxed); }},
    {"actcache_audit_dropped_events_total", "Events that the audit log had no room for.",
     [](const AuditCounts& a) { return a.dropped.load(std::memory_order_relaxed); }},
    {"actcache_audit_bytes_total", "Bytes written to the audit log.",
     [](const AuditCounts& a) { return a.bytes.load(std::memory_order_relaxed); }},
};

struct TierMetric {
  const char* name;
  const char* type;
  const char* help;
  std::uint64_t (*value)(const Tiers::State& state);
};

constexpr TierMetric kTierMetrics[] = {
    {"actcache_tier_hits_total", "counter", "Values that a tier had when it was asked.",
     [](const Tiers::State& s) { return s.tier.hits; }},
    {"actcache_tier_misses_total", "counter", "Values that a tier was asked for in vain.",
     [](const Tiers::State& s) { return s.tier.misses; }},
    {"actcache_tier_damaged_total", "counter",
     "Those of the misses where something was there, but no sound value.",
     [](const Tiers::State& s) { return s.tier.damaged; }},
    {"actcache_tier_late_total", "counter", "Those of the misses that were not there in time.",
     [](const Tiers::State& s) { return s.tier.late; }},
    {"actcache_tier_stored_total", "counter", "Values that were written to a tier.",
     [](const Tiers::State& s) { return s.tier.stored; }},
    {"actcache_tier_refused_total", "counter", "Values that a tier had no room for, or no use.",
     [](const Tiers::State& s) { return s.tier.refused; }},
    {"actcache_tier_promoted_total", "counter",
     "Values that another tier had, to be written to this.",
     [](const Tiers::State& s) { return s.queue.promoted; }},
    {"actcache_tier_dropped_total", "counter",
     "Values that were not even tried, as too much was waiting to be written.",
     [](const Tiers::State& s) { return s.queue.dropped; }},
    {"actcache_tier_errors_total", "counter", "Faults of the disk or the server.",
     [](const Tiers::State& s) { return s.tier.errors; }},
    {"actcache_tier_entries", "gauge", "Values in the whole tier, whoever stored them.",
     [](const Tiers::State& s) { return s.tier.entries; }},
    {"actcache_tier_bytes", "gauge", "Bytes held by the whole tier, whoever stored them.",
     [](const Tiers::State& s) { return s.tier.bytes; }},
    {"actcache_tier_budget_bytes", "gauge", "Bytes that the whole tier may hold.",
     [](const Tiers::State& s) { return s.tier.budget_bytes; }},
    {"actcache_tier_available", "gauge",
     "1 if the tier is asked, 0 if it is left alone at present.",
     [](const Tiers::State& s) { return std::uint64_t{s.tier.available}; }},
};

void WriteHead(const char* name, const char* type, const char* help, std::string* out) {
  *out += "# HELP " + std::string(name) + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

// `name{region="...",fingerprint="..."`, for more labels.
std::string WithRegion(const char* name, const RegionSnapshot& region) {
  return std::string(name) + "{region=" + PrometheusLabel(region.name) +
         ",fingerprint=" + PrometheusLabel(region.fingerprint);
}

// With a decimal point in every locale.
std::string Seconds(std::uint64_t nanoseconds) {
  char text[40];
  std::snprintf(text, sizeof(text), "%llu.%09llu",
                static_cast<unsigned long long>(nanoseconds / 1000000000),
                static_cast<unsigned long long>(nanoseconds % 1000000000));
  return text;
}

void WriteStates(const std::vector<RegionSnapshot>& regions, std::string* out) {
  constexpr const char* kName = "actcache_region_state";
  WriteHead(kName, "gauge", "1 for the state that the region is in.", out);
  for (const RegionSnapshot& region : regions) {
    for (const RegionState state : kStates) {
      *out += WithRegion(kName, region) + ",state=\"" + RegionStateText(state) +
              (state == region.state ? "\"} 1\n" : "\"} 0\n");
    }
  }
}

void WriteTiers(const std::vector<Tiers::State>& tiers, std::string* out) {
  for (const TierMetric& metric : kTierMetrics) {
    WriteHead(metric.name, metric.type, metric.help, out);
    for (const Tiers::State& tier : tiers) {
      *out += std::string(metric.name) + "{tier=" + PrometheusLabel(tier.name) + "} " +
              std::to_string(metric.value(tier)) + "\n";
    }
  }
}

}  // namespace

const PrometheusText::Outcomes& PrometheusText::CountOutcomes(const RegionSnapshot& region) {
  const Outcomes now = {region.hits - region.duplicates - region.joined,
                        region.duplicates,
                        region.joined,
                        region.misses - region.expired - region.verified,
                        region.expired,
                        region.verified,
                        region.bypassed};
  Outcomes& largest = outcomes_[region.name];
  for (std::size_t i = 0; i < kOutcomes; ++i) largest[i] = std::max(largest[i], now[i]);
  return largest;
}

void PrometheusText::WriteRows(const std::vector<RegionSnapshot>& regions, std::string* out) {
  constexpr const char* kName = "actcache_rows_total";
  WriteHead(kName, "counter", "Rows looked up, by what became of them.", out);
  for (const RegionSnapshot& region : regions) {
    const Outcomes& outcomes = CountOutcomes(region);
    for (std::size_t i = 0; i < kOutcomes; ++i) {
      *out += WithRegion(kName, region) + ",outcome=\"" + kOutcomeNames[i] + "\"} " +
              std::to_string(outcomes[i]) + "\n";
    }
  }
}

std::string PrometheusText::Render() {
  const std::vector<RegionSnapshot> regions = SnapshotRegions(registry_, store_);
  std::string out;
  WriteHead("actcache_build_info", "gauge", "1, with the version of the library.", &out);
  out += "actcache_build_info{version=" + PrometheusLabel(ACTCACHE_VERSION) + "} 1\n";
  WriteRows(regions, &out);
  for (const RegionMetric& metric : kRegionMetrics) {
    WriteHead(metric.name, metric.type, metric.help, &out);
    for (const RegionSnapshot& region : regions) {
      const std::uint64_t value = metric.value(region);
      out += WithRegion(metric.name, region) + "} " +
             (metric.nanoseconds ? Seconds(value) : std::to_string(value)) + "\n";
    }
  }
  WriteStates(regions, &out);
  const StoreStats stats = store_.stats();
  for (const StoreMetric& metric : kStoreMetrics) {
    WriteHead(metric.name, metric.type, metric.help, &out);
    out += std::string(metric.name) + " " + std::to_string(metric.value(stats)) + "\n";
  }
  WriteTiers(Tiers::Process().states(), &out);
  for (const AuditMetric& metric : kAuditMetrics) {
    WriteHead(metric.name, "counter", metric.help, &out);
    const std::uint64_t value = metric.value(AuditLog::Process().counts());
    out += std::string(metric.name) + " " + std::to_string(value) + "\n";
  }
  return out;
}

std::string PrometheusLabel(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = Utf8CharacterBytes(text, at);
    if (size == 0) {
      out += kReplacementCharacter;
    } else if (text[at] == '\n') {
      out += "\\n";
    } else if (text[at] == '"' || text[at] == '\\') {
      out += '\\';
      out += text[at];
    } else {
      out.append(text, at, size);
    }
    at += size == 0 ? 1 : size;
  }
  return out + '"';
}

}  // namespace actcache
