// The statistics as JSON text, in the form that include/actcache.h documents.
#ifndef ACTCACHE_METRICS_STATS_JSON_H_
#define ACTCACHE_METRICS_STATS_JSON_H_

#include <string>

#include "region/registry.h"
#include "store/store.h"

namespace actcache {

std::string StatsJson(const Registry& registry, const Store& store);

}  // namespace actcache

#endif  // ACTCACHE_METRICS_STATS_JSON_H_
