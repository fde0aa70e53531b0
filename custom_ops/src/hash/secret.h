// The process secret that keys every hash.
//
// Inputs come from untrusted callers. Without a secret they could be prepared offline so that two
// of them share a key; with it, an attacker cannot even evaluate the hash.
#ifndef ACTCACHE_HASH_SECRET_H_
#define ACTCACHE_HASH_SECRET_H_

#include <cstddef>

namespace actcache {

struct Secret {
  static constexpr std::size_t kBlake3Bytes = 32;
  static constexpr std::size_t kXxh3Bytes = 192;

  unsigned char blake3[kBlake3Bytes];
  unsigned char xxh3[kXxh3Bytes];
};

// Null when the secret is there; else why the operating system gave no random bytes, as a
// sentence for the user. The caller must then turn the cache off: there is no fallback key.
// The first call draws the secret; the answer never changes after it. Thread-safe.
const char* SecretError() noexcept;

// The secret, the same for the life of the process. REQUIRES: SecretError() == nullptr.
const Secret& ProcessSecret() noexcept;

// Random bytes of the operating system that nobody can guess; false if it gives none.
bool DrawRandomBytes(unsigned char* out, std::size_t size) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_HASH_SECRET_H_
