// What a session really has for the constants that its regions compute with.
//
// The fingerprint of a region was taken from the model file when it was compiled. A session may
// have other values: SessionOptions.add_initializer, add_external_initializers, a weight file that
// was replaced, a model that another tool edited. So the operators take the constants as inputs,
// and their digests, taken when the kernels are created, become part of the region's keys.
//
// CacheLookup has those that stand in the main graph, CacheStore those in the region's branch. The
// kernels of one session are created one after the other on one thread, a region's CacheLookup
// before what stands in its branch; so they find each other by thread and region.
#ifndef ACTCACHE_OPS_SESSION_CONSTANTS_H_
#define ACTCACHE_OPS_SESSION_CONSTANTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/runtime.h"
#include "base/mutex.h"
#include "hash/digest.h"
#include "ops/region_attributes.h"
#include "units/tensor_view.h"

namespace actcache {

// The constants of a region, and of the regions inside it, in one session. Thread-safe.
class SessionConstants {
 public:
  // For a CacheLookup that is being created: those of the region that it lies in, else new ones,
  // with its own. Throws as Add().
  static std::shared_ptr<SessionConstants> ForLookup(const ort::Api* api,
                                                     const ort::KernelInfo* info,
                                                     const RegionAttributes& attributes);
  // For a CacheStore: those of its CacheLookup; null if that cannot be told.
  static std::shared_ptr<SessionConstants> ForStore(const RegionAttributes& attributes);

  // Takes the digests of a kernel's last inputs, one per entry of attributes.constants; one per
  // entry of attributes.samples behind them is compared. What is not constant in this session is
  // left out. Throws ort::Error if a constant that the model holds twice has two values, and if a
  // branch computes with other values than the session has in the main graph.
  void Add(const ort::Api* api, const ort::KernelInfo* info, const RegionAttributes& attributes);

  // What stands in keys for the region's constants; none if a session's value is not known.
  std::optional<std::string> DigestOf(const RegionAttributes& attributes) const;

  // Whether the session has the constants that the proof of the region's units rests on.
  bool AreAsAssumed(const RegionAttributes& attributes) const;

  // Takes the pages that only Add() needed out of memory, those of mapped files: onnxruntime
  // computes with copies of its own, or reads them again from the file. Once the session runs.
  void ReleasePages();

 private:
  void Compare(const ort::Api* api, const ort::KernelInfo* info, std::size_t input,
               const RegionAttributes& attributes) const ACTCACHE_REQUIRES(mutex_);

  struct Range {
    const std::byte* data;
    std::size_t bytes;
  };

  mutable Mutex mutex_;
  std::map<std::int64_t, Digest> digests_ ACTCACHE_GUARDED_BY(mutex_);
  std::vector<Range> read_ ACTCACHE_GUARDED_BY(mutex_);
  // What samples are compared with. Valid until the session's kernels are all there.
  std::map<std::int64_t, TensorView> seen_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_CONSTANTS_H_
