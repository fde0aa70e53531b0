// Names that look like settings of ours and are none: a setting that is misspelt would otherwise be
// without effect, and nobody told.
#ifndef ACTCACHE_CONFIG_MISSPELT_H_
#define ACTCACHE_CONFIG_MISSPELT_H_

#include <optional>
#include <string>
#include <string_view>

#include "config/session_entries.h"

namespace actcache {

// What to say of an environment variable, or of a session config entry; nothing if it is known, or
// is no business of ours. Of variables, only those are told that come close to a knob: other parts
// of a program may call theirs ACTCACHE_..., too.
std::optional<std::string> AboutVariable(std::string_view name);
std::optional<std::string> AboutEntry(std::string_view name);

// Says it on the error output, once for each name in a process.
void TellOfVariables();
void TellOfEntries(const SessionEntries& entries);

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_MISSPELT_H_
