#include "control/stats_json.h"

#include <charconv>
#include <cstdio>

#include "audit/audit_log.h"
#include "base/utf8.h"
#include "control/fork.h"
#include "control/region_snapshot.h"

namespace actcache {
namespace {

// Writes the members of one object.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string* out) : out_(out) { *out_ += '{'; }
  ~ObjectWriter() { *out_ += '}'; }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  std::string* Member(const std::string& name) {
    if (!first_) *out_ += ", ";
    first_ = false;
    *out_ += JsonString(name) + ": ";
    return out_;
  }
  void Text(const char* name, const std::string& value) { *Member(name) += JsonString(value); }
  void TextOrNull(const char* name, const char* value) {
    *Member(name) += value != nullptr ? JsonString(value) : "null";
  }
  void Number(const char* name, std::uint64_t value) { *Member(name) += std::to_string(value); }
  // A finite number, in every locale with a point.
  void Real(const char* name, double value) {
    char text[32];
    Member(name)->append(text, std::to_chars(text, text + sizeof(text), value).ptr);
  }
  void Flag(const char* name, bool value) { *Member(name) += value ? "true" : "false"; }
  void Null(const char* name) { *Member(name) += "null"; }
  void Seconds(const char* name, std::uint64_t nanoseconds) {
    char text[40];
    // Integer arithmetic, so that no locale puts a comma where JSON wants a point.
    std::snprintf(text, sizeof(text), "%llu.%09llu",
                  static_cast<unsigned long long>(nanoseconds / 1000000000),
                  static_cast<unsigned long long>(nanoseconds % 1000000000));
    *Member(name) += text;
  }

 private:
  std::string* out_;
  bool first_ = true;
};

void WriteRegion(const RegionSnapshot& region, std::string* out) {
  ObjectWriter object(out);
  object.Text("fingerprint", region.fingerprint);
  object.Number("lookups", region.hits + region.misses + region.bypassed);
  object.Number("hits", region.hits);
  object.Number("misses", region.misses);
  object.Number("bypassed", region.bypassed);
  object.Number("duplicates", region.duplicates);
  object.Number("joined", region.joined);
  object.Number("expired", region.expired);
  object.Number("verified", region.verified);
  object.Number("mismatches", region.mismatches);
  object.Number("stored", region.stored);
  object.Number("not_admitted", region.not_admitted);
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
}

void WriteRegions(const Registry& registry, const Store& store, std::string* out) {
  ObjectWriter object(out);
  for (const RegionSnapshot& region : SnapshotRegions(registry, store)) {
    WriteRegion(region, object.Member(region.name));
  }
}

void WriteStore(const StoreStats& stats, std::string* out) {
  ObjectWriter object(out);
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
  ObjectWriter object(out);
  object.Number("written", counts.written.load(std::memory_order_relaxed));
  object.Number("dropped", counts.dropped.load(std::memory_order_relaxed));
  object.Number("bytes", counts.bytes.load(std::memory_order_relaxed));
}

// Of thousands of tenants few hold something; the others are left out.
void WriteNamespaces(const Namespaces& namespaces, const Store& store, std::string* out) {
  ObjectWriter object(out);
  std::uint32_t number = 0;
  for (const std::string& name : namespaces.Names()) {
    const NamespaceUsage usage = store.namespace_usage(number++);
    if (usage.bytes == 0) continue;
    ObjectWriter share(object.Member(name));
    share.Number("bytes", usage.bytes);
    share.Number("entries", usage.entries);
  }
}

}  // namespace

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = Utf8CharacterBytes(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (size == 0) {
      out += kReplacementCharacter;
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[at];
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", byte);
      out += escape;
    } else {
      out.append(text, at, size);
    }
    at += size == 0 ? 1 : size;
  }
  out += '"';
  return out;
}

std::string StatsJson(const Registry& registry, const Store& store) {
  std::string out;
  {
    ObjectWriter object(&out);
    object.Flag("forked", Forked());
    WriteRegions(registry, store, object.Member("regions"));
    WriteStore(store.stats(), object.Member("store"));
    WriteNamespaces(registry.namespaces(), store, object.Member("namespaces"));
    WriteAudit(AuditLog::Process().counts(), object.Member("audit"));
  }
  return out;
}

std::string ConfigJson(const KnobValues& values) {
  // A time that nobody limits is null: JSON has no infinity.
  const auto write_time = [](ObjectWriter* object, const char* name, std::uint64_t nanoseconds,
                             std::uint64_t none) {
    if (nanoseconds == none) {
      object->Null(name);
    } else {
      object->Seconds(name, nanoseconds);
    }
  };
  std::string out;
  {
    ObjectWriter object(&out);
    object.Number("budget_bytes", values.budget_bytes);
    object.Text("hash", HashName(values.hash));
    object.Text("namespace", values.session.name_space);
    write_time(&object, "ttl_seconds", values.session.ttl_ns, kNeverExpires);
    write_time(&object, "max_entry_age", values.session.max_age_ns, kAnyAge);
    object.Real("verify_fraction", values.verify_fraction);
    object.Real("verify_tolerance", values.verify_tolerance);
    object.Text("on_mismatch", values.on_mismatch == OnMismatch::kEvict ? "evict" : "disable");
    object.Number("namespace_quota_bytes", values.namespace_quota_bytes);
    object.Text("bypass", values.bypass ? "auto" : "off");
    object.Text("single_flight", values.single_flight ? "on" : "off");
    object.Text("metrics_path", values.metrics_path);
    object.Text("audit_path", values.audit.path);
    object.Number("audit_max_bytes", values.audit.max_bytes);
    object.Number("audit_files", values.audit.files);
    object.Number("audit_buffer_bytes", values.audit.buffer_bytes);
    object.Number("memory_bytes", values.memory_bytes);
  }
  return out;
}

}  // namespace actcache
