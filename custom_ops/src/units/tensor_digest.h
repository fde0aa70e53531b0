// The digest of a tensor: of a weight as a session has it, or as it was compiled.
#ifndef ACTCACHE_UNITS_TENSOR_DIGEST_H_
#define ACTCACHE_UNITS_TENSOR_DIGEST_H_

#include "hash/digest.h"
#include "units/tensor_view.h"

namespace actcache {

// Of type, shape and values: DigestOf() the type's number and the sizes, as 8 little-endian bytes
// each, and the bytes. Strings: where each begins, likewise, and all their bytes.
Digest DigestOfTensor(const TensorView& tensor) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_UNITS_TENSOR_DIGEST_H_
