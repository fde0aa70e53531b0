#include "hash/signature.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "hash/secret.h"

namespace actcache {

std::uint64_t Signature(const void* data, std::size_t size) noexcept {
  const Secret& secret = ProcessSecret();
  return XXH3_64bits_withSecret(data, size, secret.xxh3, sizeof(secret.xxh3));
}

}  // namespace actcache
