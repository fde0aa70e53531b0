// The attributes of regions of prefixes (passes/cuts/prefix.py): read, and checked.
#ifndef ACTCACHE_OPS_PREFIX_ATTRIBUTES_H_
#define ACTCACHE_OPS_PREFIX_ATTRIBUTES_H_

#include <memory>

#include "ops/attribute_reader.h"
#include "ops/region_attributes.h"

namespace actcache {

// All throw ort::Error with a message that names the region and the attribute. What both operators
// have, and what only CacheLookup has.
void ReadPrefix(const AttributeReader& reader, RegionAttributes& attributes);
void ReadPrefixLookup(const AttributeReader& reader, RegionAttributes& attributes);
void CheckPrefix(const RegionAttributes& attributes);
void CheckPrefixLookup(const RegionAttributes& attributes);

std::unique_ptr<const Cut> MakePrefixCut(const RegionAttributes& attributes, Conditions conditions);

}  // namespace actcache

#endif  // ACTCACHE_OPS_PREFIX_ATTRIBUTES_H_
