#include "control/stats_json.h"

#include <charconv>
#include <cstdio>
#include <set>

#include "control/fork.h"

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

std::uint64_t Read(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_acquire);
}

void WriteRegion(const Region& region, const RegionUsage& usage, std::string* out) {
  const RegionCounters& counters = region.counters;
  // The parts before what they are parts of: see RegionCounters.
  const std::uint64_t duplicates = Read(counters.duplicates);
  const std::uint64_t joined = Read(counters.joined);
  const std::uint64_t expired = Read(counters.expired);
  const std::uint64_t mismatches = Read(counters.mismatches);
  const std::uint64_t hits = Read(counters.hits);
  const std::uint64_t misses = Read(counters.misses);
  const std::uint64_t bypassed = Read(counters.bypassed);
  ObjectWriter object(out);
  object.Text("fingerprint", region.fingerprint);
  object.Number("lookups", hits + misses + bypassed);
  object.Number("hits", hits);
  object.Number("misses", misses);
  object.Number("bypassed", bypassed);
  object.Number("duplicates", duplicates);
  object.Number("joined", joined);
  object.Number("expired", expired);
  object.Number("verified", Read(counters.verified));
  object.Number("mismatches", mismatches);
  object.Number("stored", Read(counters.stored));
  object.Number("not_admitted", Read(counters.not_admitted));
  object.Number("evicted", usage.evictions);
  object.Number("anomalies", Read(counters.anomalies));
  object.Number("calls", Read(counters.calls));
  object.Number("bytes", usage.bytes);
  object.Number("pinned_bytes", usage.pinned_bytes);
  object.Seconds("saved_seconds", Read(counters.saved_ns));
  object.Seconds("hash_seconds", Read(counters.hash_ns));
  object.Seconds("copy_seconds", Read(counters.copy_ns));
  object.Seconds("compute_seconds", Read(counters.compute_ns));
  object.Seconds("overhead_seconds", Read(counters.overhead_ns));
  const RegionPolicy::Stats policy = region.policy.stats();
  const bool disabled = region.disabled.load(std::memory_order_relaxed);
  object.Text("state", disabled ? "disabled" : policy.bypassed ? "bypassed" : "active");
  object.TextOrNull("bypass_reason", BypassReasonText(policy.reason));
  object.Number("bypass_switches", policy.switches);
  object.Number("probes", policy.probes);
}

void WriteRegions(const Registry& registry, const Store& store, std::string* out) {
  ObjectWriter object(out);
  std::set<std::string> written;
  for (const Region* region : registry.Regions()) {
    // Two models may name different regions alike; the first keeps the plain name.
    std::string name = region->id;
    while (!written.insert(JsonString(name)).second) {
      name += "@" + region->fingerprint.substr(0, 8);
    }
    WriteRegion(*region, store.usage(region->number), object.Member(name));
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

// The bytes of the UTF-8 character that begins at `at`; 0 if none does (Unicode 15, table 3-7: no
// overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t CharacterBytes(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t size = lead < 0xc2   ? 0
                           : lead < 0xe0 ? 2
                           : lead < 0xf0 ? 3
                           : lead < 0xf5 ? 4
                                         : 0;
  if (size == 0 || size > text.size() - at) return 0;
  // The second byte has a narrower range after some first ones.
  const unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(at + 1) < least || byte(at + 1) > most) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (byte(at + i) < 0x80 || byte(at + i) > 0xbf) return 0;
  }
  return size;
}

}  // namespace

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = CharacterBytes(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (size == 0) {
      out += "\xef\xbf\xbd";  // U+FFFD
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
    object.Text("hash", values.hash == HashKind::kBlake3 ? "blake3" : "xxh3");
    object.Text("namespace", values.session.name_space);
    write_time(&object, "ttl_seconds", values.session.ttl_ns, kNeverExpires);
    write_time(&object, "max_entry_age", values.session.max_age_ns, kAnyAge);
    object.Real("verify_fraction", values.verify_fraction);
    object.Real("verify_tolerance", values.verify_tolerance);
    object.Text("on_mismatch", values.on_mismatch == OnMismatch::kEvict ? "evict" : "disable");
    object.Number("namespace_quota_bytes", values.namespace_quota_bytes);
    object.Text("bypass", values.bypass ? "auto" : "off");
    object.Text("single_flight", values.single_flight ? "on" : "off");
    object.Number("memory_bytes", values.memory_bytes);
  }
  return out;
}

}  // namespace actcache
