#include "metrics/stats_json.h"

#include "audit/audit_log.h"
#include "base/forked.h"
#include "base/json_text.h"
#include "region/region_snapshot.h"
#include "tier/tiers.h"

namespace actcache {
namespace {

void WriteRegion(const RegionSnapshot& region, std::string* out) {
  JsonObject object(out);
  object.Text("fingerprint", region.fingerprint);
  object.Number("lookups", region.hits + region.misses + region.bypassed);
  object.Number("hits", region.hits);
  object.Number("misses", region.misses);
  object.Number("bypassed", region.bypassed);
  object.Number("duplicates", region.duplicates);
  object.Number("joined", region.joined);
  object.Number("disk_hits", region.disk_hits);
  object.Number("remote_hits", region.remote_hits);
  object.Number("expired", region.expired);
  object.Number("verified", region.verified);
  object.Number("compared", region.compared);
  object.Number("mismatches", region.mismatches);
  object.Number("kept_apart", region.kept_apart);
  object.Number("stored", region.stored);
  object.Number("not_admitted", region.not_admitted);
  object.Number("first_sights", region.first_sights);
  object.Number("evicted", region.usage.evictions);
  object.Number("anomalies", region.anomalies);
  object.Number("calls", region.calls);
  object.Number("bytes", region.usage.bytes);
  object.Number("pinned_bytes", region.usage.pinned_bytes);
  object.Seconds("saved_seconds", region.saved_ns);
  object.Seconds("hash_seconds", region.hash_ns);
  object.Seconds("copy_seconds", region.copy_ns);
  object.Seconds("compute_seconds", region.compute_ns);
  object.Seconds("overhead_seconds", region.overhead_ns);
  object.Text("state", RegionStateText(region.state));
  object.TextOrNull("bypass_reason", BypassReasonText(region.policy.reason));
  object.Number("bypass_switches", region.policy.switches);
  object.Number("probes", region.policy.probes);
  object.Number("fed", region.policy.fed);
}

void WriteRegions(const Registry& registry, const Store& store, std::string* out) {
  JsonObject object(out);
  for (const RegionSnapshot& region : SnapshotRegions(registry, store)) {
    WriteRegion(region, object.Member(region.name));
  }
}

void WriteStore(const StoreStats& stats, std::string* out) {
  JsonObject object(out);
  object.Number("bytes", stats.bytes);
  object.Number("entries", stats.entries);
  object.Number("budget_bytes", stats.budget_bytes);
  object.Number("namespace_quota_bytes", stats.namespace_quota_bytes);
  object.Number("pinned_bytes", stats.pinned_bytes);
  object.Number("pinned_entries", stats.pinned_entries);
  object.Number("insertions", stats.insertions);
  object.Number("rejected", stats.rejected);
  object.Number("evictions", stats.evictions);
  object.Number("expired", stats.expired);
  object.Number("invalidated", stats.invalidated);
  object.Number("replaced", stats.replaced);
}

void WriteAudit(const AuditCounts& counts, std::string* out) {
  JsonObject object(out);
  object.Number("written", counts.written.load(std::memory_order_relaxed));
  object.Number("dropped", counts.dropped.load(std::memory_order_relaxed));
  object.Number("bytes", counts.bytes.load(std::memory_order_relaxed));
}

void WriteTier(const Tiers::State& state, std::string* out) {
  const TierStats& tier = state.tier;
  JsonObject object(out);
  object.Flag("available", tier.available);
  object.TextOrNull("problem", state.problem.empty() ? nullptr : state.problem.c_str());
  object.Number("hits", tier.hits);
  object.Number("misses", tier.misses);
  object.Number("damaged", tier.damaged);
  object.Number("late", tier.late);
  object.Number("stored", tier.stored);
  object.Number("refused", tier.refused);
  object.Number("promoted", state.queue.promoted);
  object.Number("dropped", state.queue.dropped);
  object.Number("evicted", tier.evicted);
  object.Number("errors", tier.errors);
  object.Number("fetched_bytes", tier.fetched_bytes);
  object.Number("stored_bytes", tier.stored_bytes);
  object.Number("queued_bytes", state.queue.queued_bytes);
  object.Number("entries", tier.entries);
  object.Number("bytes", tier.bytes);
  object.Number("budget_bytes", tier.budget_bytes);
}

void WriteTiers(std::string* out) {
  JsonObject object(out);
  for (const Tiers::State& state : Tiers::Process().states()) {
    WriteTier(state, object.Member(state.name));
  }
}

// Of thousands of tenants few hold something; the others are left out.
void WriteNamespaces(const Namespaces& namespaces, const Store& store, std::string* out) {
  JsonObject object(out);
  std::uint32_t number = 0;
  for (const std::string& name : namespaces.Names()) {
    const NamespaceUsage usage = store.namespace_usage(number++);
    if (usage.bytes == 0) continue;
    JsonObject share(object.Member(name));
    share.Number("bytes", usage.bytes);
    share.Number("entries", usage.entries);
  }
}

}  // namespace

std::string StatsJson(const Registry& registry, const Store& store) {
  std::string out;
  {
    JsonObject object(&out);
    object.Flag("forked", Forked());
    WriteRegions(registry, store, object.Member("regions"));
    WriteStore(store.stats(), object.Member("store"));
    WriteNamespaces(registry.namespaces(), store, object.Member("namespaces"));
    WriteTiers(object.Member("tiers"));
    WriteAudit(AuditLog::Process().counts(), object.Member("audit"));
  }
  return out;
}

}  // namespace actcache
