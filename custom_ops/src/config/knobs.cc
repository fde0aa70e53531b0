#include "config/knobs.h"

#include "region/namespaces.h"

#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

#include "base/process_path.h"
#include "config/byte_size.h"
#include "metrics/metrics_file.h"
#include "tier/disk/limits.h"
#include "tier/remote/remote_url.h"

namespace actcache {
namespace {

// Also "inf"; never NaN. In every locale alike.
std::optional<double> ParseNumber(const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || std::isnan(value)) return std::nullopt;
  return value;
}

bool ReadBytes(const std::string& text, std::uint64_t whole, std::size_t* bytes) {
  const std::optional<std::uint64_t> parsed = ParseByteSize(text, whole);
  if (!parsed || *parsed > std::numeric_limits<std::size_t>::max()) return false;
  *bytes = static_cast<std::size_t>(*parsed);
  return true;
}

// Nanoseconds of a time that is more than 0; `never` if it is longer than any process lives.
bool ReadSeconds(const std::string& text, std::uint64_t never, std::uint64_t* nanoseconds) {
  constexpr double kTooLong = 9e9;  // 285 years, and its nanoseconds fit
  const std::optional<double> seconds = ParseNumber(text);
  if (!seconds || *seconds <= 0) return false;
  *nanoseconds =
      *seconds > kTooLong ? never : static_cast<std::uint64_t>(std::ceil(*seconds * 1e9));
  return true;
}

bool ReadNumber(const std::string& text, double most, double* number) {
  const std::optional<double> parsed = ParseNumber(text);
  if (!parsed || *parsed < 0 || *parsed > most) return false;
  *number = *parsed;
  return true;
}

// No percentage: there is nothing that it could be of.
template <typename Number>
bool ReadBytesOfAudit(const std::string& text, Number* bytes) {
  constexpr std::uint64_t kLeast = 64 << 10;  // many lines fit
  const std::optional<std::uint64_t> parsed = ParseByteSize(text, 0);
  if (!parsed || *parsed < kLeast || *parsed > std::numeric_limits<Number>::max()) return false;
  *bytes = static_cast<Number>(*parsed);
  return true;
}

bool ReadCount(const std::string& text, std::uint32_t most, std::uint32_t* count) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > most) return false;
  *count = value;
  return true;
}

template <typename Choice>
bool ReadChoice(const std::string& text,
                std::initializer_list<std::pair<const char*, Choice>> choices, Choice* chosen) {
  for (const auto& [name, choice] : choices) {
    if (text != name) continue;
    *chosen = choice;
    return true;
  }
  return false;
}

// A file of the remote tier: the process may change its folder before it is read.
template <std::string RemoteKnobs::* file>
bool ReadFileName(const std::string& text, KnobValues* values) {
  values->tiers.remote.*file = text.empty() ? text : ProcessPath(text);
  return true;
}

using Text = const std::string&;
using Scope = Knob::Scope;

constexpr char kFile[] = "the name of a file, or an empty text for none";

}  // namespace

const std::array<Knob, kKnobCount> kKnobs = {{
    {"budget_bytes", Scope::kProcess,
     "a number of bytes like 268435456, 512MiB, 1.5GiB or 10% (of the memory this process may use)",
     [](Text text, KnobValues* values) {
       return ReadBytes(text, values->memory_bytes, &values->budget_bytes);
     }},
    {"hash", Scope::kProcess, "\"blake3\" or \"xxh3\"",
     [](Text text, KnobValues* values) {
       return ReadChoice(text, {{"blake3", HashKind::kBlake3}, {"xxh3", HashKind::kXxh3}},
                         &values->hash);
     }},
    {"namespace", Scope::kSession, "a text of at most 256 bytes",
     [](Text text, KnobValues* values) {
       if (text.size() > kMaxNamespaceBytes) return false;
       values->session.name_space = text;
       return true;
     }},
    {"ttl_seconds", Scope::kSession, "a number of seconds above 0, or inf",
     [](Text text, KnobValues* values) {
       return ReadSeconds(text, kNeverExpires, &values->session.ttl_ns);
     }},
    {"max_entry_age", Scope::kSession, "a number of seconds above 0, or inf",
     [](Text text, KnobValues* values) {
       return ReadSeconds(text, kAnyAge, &values->session.max_age_ns);
     }},
    {"verify_fraction", Scope::kProcess, "a number from 0 to 1",
     [](Text text, KnobValues* values) { return ReadNumber(text, 1, &values->verify_fraction); }},
    {"verify_tolerance", Scope::kProcess, "a finite number, 0 or more",
     [](Text text, KnobValues* values) {
       return ReadNumber(text, std::numeric_limits<double>::max(), &values->verify_tolerance);
     }},
    {"on_mismatch", Scope::kProcess, "\"evict\" or \"disable\"",
     [](Text text, KnobValues* values) {
       return ReadChoice(text, {{"evict", OnMismatch::kEvict}, {"disable", OnMismatch::kDisable}},
                         &values->on_mismatch);
     }},
    {"namespace_quota_bytes", Scope::kProcess,
     "a number of bytes like 67108864, 64MiB, 1.5GiB or 10% (of the budget), or 0 for no quota",
     [](Text text, KnobValues* values) {
       return ReadBytes(text, values->budget_bytes, &values->namespace_quota_bytes);
     }},
    {"bypass", Scope::kProcess, "\"auto\" or \"off\"",
     [](Text text, KnobValues* values) {
       return ReadChoice(text, {{"auto", true}, {"off", false}}, &values->bypass);
     }},
    {"single_flight", Scope::kProcess, "\"on\" or \"off\"",
     [](Text text, KnobValues* values) {
       return ReadChoice(text, {{"on", true}, {"off", false}}, &values->single_flight);
     }},
    {"disk_path", Scope::kProcess, "the name of a folder, or an empty text for none",
     [](Text text, KnobValues* values) {
       values->tiers.disk_path = text.empty() ? text : ProcessPath(text);
       return true;
     }},
    {"disk_budget_bytes", Scope::kProcess,
     "a number of bytes like 1073741824, 512MiB or 20GiB, at least 16MiB",
     [](Text text, KnobValues* values) {
       const std::optional<std::uint64_t> bytes = ParseByteSize(text, 0);
       if (!bytes || *bytes < kMinDiskBudget || *bytes >> 62 != 0) return false;
       values->tiers.disk_budget_bytes = *bytes;
       return true;
     }},
    {"remote_secret", Scope::kProcess, "a text of 16 bytes or more, or empty for none",
     [](Text text, KnobValues* values) {
       if (!text.empty() && text.size() < kLeastSecretBytes) return false;
       values->tiers.remote.secret = text;
       return true;
     },
     nullptr, true},
    {"remote_secret_file", Scope::kProcess, kFile, &ReadFileName<&RemoteKnobs::secret_file>},
    {"remote_password_file", Scope::kProcess, kFile, &ReadFileName<&RemoteKnobs::password_file>},
    {"remote_ca_file", Scope::kProcess, kFile, &ReadFileName<&RemoteKnobs::ca_file>},
    {"remote_cert_file", Scope::kProcess, kFile, &ReadFileName<&RemoteKnobs::cert_file>},
    {"remote_key_file", Scope::kProcess, kFile, &ReadFileName<&RemoteKnobs::key_file>},
    {"remote_ttl_seconds", Scope::kProcess, "a number of seconds above 0",
     [](Text text, KnobValues* values) {
       constexpr std::uint64_t kLongest = 9'000'000'000'000'000'000;  // 285 years
       return ReadSeconds(text, kLongest, &values->tiers.remote.ttl_ns);
     }},
    {"remote_max_value_bytes", Scope::kProcess,
     "a number of bytes like 16777216 or 16MiB, above 0 and at most 512MiB",
     [](Text text, KnobValues* values) {
       constexpr std::uint64_t kMost = std::uint64_t{512} << 20;  // of the servers
       const std::optional<std::uint64_t> bytes = ParseByteSize(text, 0);
       if (!bytes || *bytes == 0 || *bytes > kMost) return false;
       values->tiers.remote.max_value_bytes = static_cast<std::size_t>(*bytes);
       return true;
     }},
    {"remote_url", Scope::kProcess,
     "an address like redis://host:6379/0, valkey://user:password@host, rediss://host (with TLS) "
     "or "
     "unix:///path/to/socket, or empty for none",
     [](Text text, KnobValues* values) {
       RemoteUrl url;
       if (!text.empty() && ParseRemoteUrl(text, &url) != nullptr) return false;
       values->tiers.remote.url = text;
       return true;
     },
     &RemoteUrlObstacle, true},
    {"portable", Scope::kProcess, "\"on\" or \"off\"",
     [](Text text, KnobValues* values) {
       return ReadChoice(text, {{"on", true}, {"off", false}}, &values->portable);
     }},
    {"metrics_path", Scope::kProcess, "the name of a file, or an empty text for none",
     [](Text text, KnobValues* values) {
       values->metrics_path = text;
       return true;
     },
     &MetricsFile::Obstacle},
    {"audit_path", Scope::kProcess, "the path of a file, or empty for none",
     [](Text text, KnobValues* values) {
       values->audit.path = text;
       return true;
     }},
    {"audit_max_bytes", Scope::kProcess,
     "a number of bytes like 268435456 or 256MiB, at least 64KiB",
     [](Text text, KnobValues* values) {
       return ReadBytesOfAudit(text, &values->audit.max_bytes);
     }},
    {"audit_files", Scope::kProcess, "a whole number from 0 to 9999",
     [](Text text, KnobValues* values) { return ReadCount(text, 9999, &values->audit.files); }},
    {"audit_buffer_bytes", Scope::kProcess,
     "a number of bytes like 8388608 or 8MiB, at least 64KiB",
     [](Text text, KnobValues* values) {
       return ReadBytesOfAudit(text, &values->audit.buffer_bytes);
     }},
}};

}  // namespace actcache
