// The knobs in effect as JSON text, in the form that include/actcache.h documents.
#ifndef ACTCACHE_CONFIG_CONFIG_JSON_H_
#define ACTCACHE_CONFIG_CONFIG_JSON_H_

#include <string>

#include "config/knobs.h"

namespace actcache {

std::string ConfigJson(const KnobValues& values);

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_CONFIG_JSON_H_
