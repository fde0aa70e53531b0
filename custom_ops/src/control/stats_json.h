// The statistics and the configuration as JSON text, in the form that include/actcache.h documents.
#ifndef ACTCACHE_CONTROL_STATS_JSON_H_
#define ACTCACHE_CONTROL_STATS_JSON_H_

#include <string>

#include "control/knobs.h"
#include "control/registry.h"
#include "store/store.h"

namespace actcache {

std::string StatsJson(const Registry& registry, const Store& store);
std::string ConfigJson(const KnobValues& values);

// `text` as a JSON string, quotes included. Control characters are escaped, other UTF-8 passes
// through, and each byte that is not UTF-8 becomes U+FFFD, as JSON has to be UTF-8.
std::string JsonString(const std::string& text);

}  // namespace actcache

#endif  // ACTCACHE_CONTROL_STATS_JSON_H_
