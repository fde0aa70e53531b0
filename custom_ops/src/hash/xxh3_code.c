/* Compiled once for each instruction set, with ACTCACHE_XXH3_CODE for the name of the result: xxHash chooses its
 * vector code by what the compiler may use. C, because inline functions of C++ headers could be shared with code for
 * any processor. */
#include "hash/xxh3_code.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) == kXxh3StateBytes, "kXxh3StateBytes");
_Static_assert(_Alignof(XXH3_state_t) <= kXxh3StateAlignment, "kXxh3StateAlignment");

static void Reset(void* state, const void* secret, size_t secret_bytes) {
  XXH3_128bits_reset_withSecret((XXH3_state_t*)state, secret, secret_bytes);
}

static void Update(void* state, const void* data, size_t bytes) {
  XXH3_128bits_update((XXH3_state_t*)state, data, bytes);
}

static void Finish(const void* state, uint64_t digest[2]) {
  const XXH128_hash_t hash = XXH3_128bits_digest((const XXH3_state_t*)state);
  digest[0] = hash.high64;
  digest[1] = hash.low64;
}

const struct Xxh3Code ACTCACHE_XXH3_CODE = {Reset, Update, Finish};
