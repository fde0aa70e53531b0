// What the kernels of one session know of it: its settings, and what of its options may change
// what a region computes.
#ifndef ACTCACHE_OPS_SESSION_H_
#define ACTCACHE_OPS_SESSION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "abi/runtime.h"
#include "base/clock.h"  // IWYU pragma: export
#include "config/config.h"
#include "config/knobs.h"
#include "config/session_entries.h"

namespace actcache {

// Fixed when a kernel is created.
struct SessionSettings {
  std::string name_space;
  std::optional<std::uint32_t> name_space_number;  // none: too many namespaces, nothing is cached
  std::uint64_t ttl_ns = kNeverExpires;            // of the entries that the session stores
  std::uint64_t max_age_ns = kAnyAge;              // of the entries that it uses
  std::string value_entries = std::string();       // part of every key (session_entries.h)
  // Whether other sessions may use its entries, and it theirs. Not so where the runtime does not
  // tell what the session's namespace is.
  bool shares = true;
  // For who has to know whether two sessions compute the same (session_identity.h).
  std::string runtime = std::string();  // the version of onnxruntime
  std::string model = std::string();    // what the host states; "": nothing
};

// What the host states of the sessions that this thread creates from now on: a text that is equal
// only for sessions of one model file with the same options; "": nothing.
void StateModel(std::string text);
const std::string& StatedModel() noexcept;

// All config entries of the session that `info` belongs to. `api` is the table of a runtime that
// has kSessionEntriesVersion. Throws ort::Error.
SessionEntries ReadEntries(const ort::Api* api, const ort::KernelInfo* info);

// The entries that `options` has now, as far as this library knows their names: older runtimes
// cannot list them. Throws ort::Error.
SessionEntries ReadKnownEntries(const ort::Api* api, const ort::SessionOptions* options);

// What the entries mean. Tells the process's configuration of those that hold for the process.
// Throws ConfigError, which names the entry and its value.
SessionSettings SettingsOf(const SessionEntries& entries);

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_H_
