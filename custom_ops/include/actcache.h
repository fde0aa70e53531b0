/* actcache's control functions, for the program that hosts onnxruntime.
 *
 * The library is loaded by onnxruntime (RegisterCustomOps) and stays loaded until the process ends.
 * There is one store per process, whichever sessions and models use it. All functions are
 * thread-safe, may be called before any session exists, and never throw. Do not call them in a
 * child made by fork() from a process that already ran inference.
 */
#ifndef ACTCACHE_H_
#define ACTCACHE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ACTCACHE_EXPORT __attribute__((visibility("default")))
#else
#define ACTCACHE_EXPORT
#endif

/* Sets a knob: "budget_bytes" (a decimal integer; 0 turns the cache off), "hash" ("blake3" or
 * "xxh3") or "namespace" (what sessions without a session config entry "actcache.namespace" get).
 * It wins over session config entries and the environment (ACTCACHE_BUDGET_BYTES, ACTCACHE_HASH,
 * ACTCACHE_NAMESPACE), but for the namespace, where a session's own entry wins. A null `value`
 * takes the setting back. Returns 0, or another number and a message in actcache_last_error(). */
ACTCACHE_EXPORT int actcache_configure(const char* name, const char* value);

/* What was wrong with this thread's last call; "" if it succeeded. Never null, valid until the
 * thread's next call of any function here. */
ACTCACHE_EXPORT const char* actcache_last_error(void);

/* Writes the statistics as a JSON text with its NUL into `buffer` if they fit, and returns the
 * bytes needed either way (0 only on failure). They can grow between two calls: ask again if the
 * second answer is larger than the buffer.
 *
 * {"regions": {id: {
 *      "fingerprint"    hexadecimal
 *      "lookups"        always hits + misses + bypassed. Rows here and below; a lookup of a whole
 * call is 1 "hits"           rows that were not computed "misses"         rows that were "bypassed"
 * rows that were computed without being looked up, as the cache was off "duplicates"     those of
 * the hits that equal a missing row of their own call "stored"         rows published in the store
 *      "not_admitted"   rows computed and not published: too large, not worth it, or there already
 *      "evicted"        entries that made room for others
 *      "anomalies"      calls whose results were not one row per row, and so were not cached
 *      "calls"          calls of the lookup
 *      "bytes"          now held
 *      "saved_seconds"  what computing the hits took when they were computed
 *      "hash_seconds", "copy_seconds", "compute_seconds"   spent since the process started
 *   }},
 *  "store": {"bytes", "entries", "budget_bytes", "evictions", "rejected", "insertions"}}
 *
 * A second region of the same id is called "<id>@<first 8 digits of its fingerprint>". */
ACTCACHE_EXPORT size_t actcache_stats_json(char* buffer, size_t capacity);

/* The knobs in effect for the process: {"budget_bytes", "hash", "namespace"}. As above. */
ACTCACHE_EXPORT size_t actcache_config_json(char* buffer, size_t capacity);

/* Removes the entries of a namespace, or all entries if it is null. Returns how many, -1 on
 * failure. Counters keep their values. */
ACTCACHE_EXPORT int64_t actcache_clear(const char* name_space);

/* The library's version, "0.1.0". */
ACTCACHE_EXPORT const char* actcache_version(void);

/* The version of this interface; a change that breaks a caller raises it. */
ACTCACHE_EXPORT int actcache_abi(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ACTCACHE_H_ */
