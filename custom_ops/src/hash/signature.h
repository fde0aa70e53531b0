// A fast keyed hash of 64 bits, for guesses: what has to be right uses a Key (hasher.h).
#ifndef ACTCACHE_HASH_SIGNATURE_H_
#define ACTCACHE_HASH_SIGNATURE_H_

#include <cstddef>
#include <cstdint>

namespace actcache {

// XXH3-64 with the process secret. Different signatures prove different bytes; equal ones prove
// nothing, by chance or by someone's intent. REQUIRES: SecretError() == nullptr.
std::uint64_t Signature(const void* data, std::size_t size) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_HASH_SIGNATURE_H_
