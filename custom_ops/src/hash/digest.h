// Digests that mean the same in every process: 256 bits of BLAKE3.
#ifndef ACTCACHE_HASH_DIGEST_H_
#define ACTCACHE_HASH_DIGEST_H_

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

namespace actcache {

// Plain bytes, in the same order on every machine.
using Digest = std::array<unsigned char, 32>;

// A secret key for digests.
using DigestKey = std::array<unsigned char, 32>;

// BLAKE3 of `parts`, each framed by its length as 8 little-endian bytes.
Digest DigestOf(std::initializer_list<std::string_view> parts) noexcept;

// BLAKE3 of `size` bytes under `key`: who does not have the key cannot make it.
Digest KeyedDigest(const DigestKey& key, const void* data, std::size_t size) noexcept;

// A key of its own for the purpose that `context` names, made from `secret`; neither can be told
// from the other.
DigestKey DeriveKey(const DigestKey& secret, std::string_view context) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_HASH_DIGEST_H_
