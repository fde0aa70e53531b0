// For the operators of a branch: what CacheLookup has handed over (hand_over_table.h).
#ifndef ACTCACHE_OPS_TAKE_FOUND_H_
#define ACTCACHE_OPS_TAKE_FOUND_H_

#include <cstdint>
#include <memory>

#include "ops/hand_over_table.h"
#include "ops/region_attributes.h"
#include "region/registry.h"
#include "units/call_plan.h"

namespace actcache {

// Takes what a plan of the region says; null if that is nothing. Its tensors are in order, of the
// types that the attributes say. Throws ort::Error if it is not there any more, or not of this
// region.
std::unique_ptr<HandedOver> TakeFound(const CallPlan& plan, const Region& region,
                                      const RegionAttributes& attributes);

// Tells the region's policy how long copying it took.
void TellCopied(Region& region, const HandedOver& found, std::uint64_t copy_ns);

}  // namespace actcache

#endif  // ACTCACHE_OPS_TAKE_FOUND_H_
