// What a call says about its own lookups, in inputs that its model was compiled with, and what it
// is told of them.
#ifndef ACTCACHE_OPS_PER_CALL_H_
#define ACTCACHE_OPS_PER_CALL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ops/kernel_io.h"
#include "ops/region_attributes.h"

namespace actcache {

enum class CacheUse : std::uint8_t {
  kUse,      // "use": look up, compute and store what is missing
  kBypass,   // "bypass": neither look up nor store
  kRefresh,  // "refresh": compute everything, and store it in place of what is there
};

struct CallOptions {
  std::optional<std::string> name_space;  // the call's own; none if the model has no input for it
  CacheUse control = CacheUse::kUse;
};

// Throws ort::Error, which fails the Run: a call whose namespace or wish cannot be read must not be
// answered as if it had none.
CallOptions ReadCallOptions(const KernelIo& io, const RegionAttributes& attributes);

// What became of the rows of one call in one region.
struct Account {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t bypassed = 0;
};

// Writes the account's output, int64 [1, 3], if the region has one.
void WriteAccount(const KernelIo& io, const RegionAttributes& attributes, const Account& account);

}  // namespace actcache

#endif  // ACTCACHE_OPS_PER_CALL_H_
