// The process secret that keys every hash.
//
// Inputs come from untrusted callers. Without a secret they could be prepared offline so that two
// of them share a key; with it, an attacker cannot even evaluate the hash.
#ifndef ACTCACHE_HASH_SECRET_H_
#define ACTCACHE_HASH_SECRET_H_

#include <cstddef>
#include <cstdint>

#include "hash/digest.h"

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

// The secret as it is now; the object stays as it is for the life of the process. REQUIRES:
// SecretError() == nullptr.
const Secret& ProcessSecret() noexcept;

// Makes the secret out of one that other processes have, too: their keys are ours from now on.
// What was hashed before is not found any more. Nothing changes if it is the secret already.
void AdoptSecret(const DigestKey& shared);

// Counts the secrets that the process has had: whoever keeps what was hashed can see that it is
// out of date.
std::uint64_t SecretGeneration() noexcept;

// Random bytes of the operating system that nobody can guess; false if it gives none.
bool DrawRandomBytes(unsigned char* out, std::size_t size) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_HASH_SECRET_H_
