// The config entries of a session ("optimization.enable_gelu_approximation" is "1"), and which of
// them may change what it computes.
#ifndef ACTCACHE_CONFIG_SESSION_ENTRIES_H_
#define ACTCACHE_CONFIG_SESSION_ENTRIES_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace actcache {

using SessionEntries = std::map<std::string, std::string, std::less<>>;

// Whether the entry is known to leave every computed value as it is. False for all that are not
// known: later versions of onnxruntime and execution providers add entries of their own.
bool LeavesValues(std::string_view name);

// The entries that may change values, in the order of their names, each name and value framed by
// its length; "" if there are none. Part of every key.
std::string ValueEntries(const SessionEntries& entries);

// The names to ask a runtime for that cannot list entries: those of our own knobs, and those of
// onnxruntime that are known to change values.
std::vector<std::string> KnownEntries();

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_SESSION_ENTRIES_H_
