// CacheConstants: shows regions in the branches of an If the constants of the graph around it.
// onnxruntime tells a kernel which of its inputs are constant only if they stand in its own graph,
// so a CacheLookup in a branch learns of outer ones from this operator, whose region it names as
// the one that it lies in (session_constants.h). It stands in front of the If.
//
// inputs:  condition  bool, that of the If
//          constants  those that keys of regions in the branches cover
// outputs: condition  as it is: so no tool takes the operator for one that nobody reads
// attributes: region     a name that no region has
//             constants  the numbers of the constants
#ifndef ACTCACHE_OPS_CACHE_CONSTANTS_H_
#define ACTCACHE_OPS_CACHE_CONSTANTS_H_

#include <memory>

#include "ops/kernel_io.h"
#include "ops/session.h"
#include "ops/session_constants.h"

namespace actcache {

// The kernel of one node. Holds no state of any call; Compute() may run on several threads at once.
class CacheConstants {
 public:
  static constexpr const char* kName = "CacheConstants";

  // Throws ort::Error.
  CacheConstants(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings& session);

  // Throws ort::Error if onnxruntime fails.
  void Compute(ort::KernelContext* context) const;

 private:
  const ort::Api* api_;
  const std::shared_ptr<SessionConstants> constants_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_CONSTANTS_H_
