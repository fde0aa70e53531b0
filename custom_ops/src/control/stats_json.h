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

// `text` as a JSON string, quotes included. Bytes that are not printable ASCII are escaped; bytes
// of UTF-8 sequences pass through.
std::string JsonString(const std::string& text);

}  // namespace actcache

#endif  // ACTCACHE_CONTROL_STATS_JSON_H_
