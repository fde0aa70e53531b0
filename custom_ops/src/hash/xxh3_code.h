/* XXH3-128 as compiled for one instruction set; C, as are its implementations (xxh3_code.c). */
#ifndef ACTCACHE_HASH_XXH3_CODE_H_
#define ACTCACHE_HASH_XXH3_CODE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Room and alignment of a state, which is plain bytes but for a pointer to the secret. */
enum { kXxh3StateBytes = 576, kXxh3StateAlignment = 64 };

/* All codes give the same digests, and each goes on with a state of another. */
struct Xxh3Code {
  /* Starts a state. The secret, of 136 bytes or more, has to outlive it. */
  void (*reset)(void* state, const void* secret, size_t secret_bytes);
  void (*update)(void* state, const void* data, size_t bytes);
  /* The state can go on afterwards. `digest` takes the upper and the lower half. */
  void (*finish)(const void* state, uint64_t digest[2]);
};

extern const struct Xxh3Code actcache_xxh3_baseline; /* runs on every processor of the build */
#if defined(ACTCACHE_XXH3_AVX2)
extern const struct Xxh3Code actcache_xxh3_avx2; /* REQUIRES: a processor with AVX2 */
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ACTCACHE_HASH_XXH3_CODE_H_ */
