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

/* Sets a knob. It wins over the session config entry "actcache.<name>" and the environment variable
 * ACTCACHE_<NAME>; but namespace, ttl_seconds and max_entry_age are a session's own, whose entry
 * wins over what is set here.
 *
 *   "budget_bytes"           what the store may hold: "268435456", "512MiB", "1.5GiB", or "10%" of
 *                            the memory this process may use; "0" turns the cache off. Default:
 *                            256 MiB, or an eighth of that memory if it is less
 *   "hash"                   "blake3", or "xxh3": faster, for inputs that nobody crafts
 *   "namespace"              entries of one are never seen from another; at most 256 bytes
 *   "ttl_seconds"            after which an entry that is stored from now on is gone; or "inf"
 *   "max_entry_age"          seconds beyond which no entry is used; or "inf"
 *   "verify_fraction"        share of hits, 0 to 1, that are computed and compared; default 0
 *   "verify_tolerance"       relative difference that counts as none; default 1e-4
 *   "on_mismatch"            "evict" the entry, or also "disable" the region
 *   "namespace_quota_bytes"  what one namespace may hold, "10%" is of the budget; default 0: no
 * quota "bypass"                 "auto": regions that cost more than they save stop looking up; or
 * "off" "single_flight"          "on": concurrent calls that miss one key compute it once; or "off"
 *
 * A null `value` takes the setting back. Returns 0, or -1 and a message in actcache_last_error().
 */
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
 *      "lookups"        always hits + misses + bypassed. Rows, here and
 *                       below; a lookup of a whole call is one row
 *      "hits"           rows that were not computed
 *      "misses"         rows that were
 *      "bypassed"       rows that were computed without being looked up:
 *                       the cache was off, or the region bypassed
 *      "duplicates"     those of the hits that equal a missing row of
 *                       their own call
 *      "stored"         rows published in the store
 *      "not_admitted"   rows computed and not published: too large, not worth it, or there already
 *      "evicted"        entries that made room for others
 *      "anomalies"      calls whose results were not one row per row, and so were not cached
 *      "calls"          calls of the lookup
 *      "bytes"          now held
 *      "saved_seconds"  what computing the hits took when they were computed
 *      "hash_seconds", "copy_seconds", "compute_seconds"   spent since the process started
 *      "overhead_seconds"  spent in both operators, hashing and copying
 *                       included
 *      "state"          "active", or "bypassed": nothing is looked up,
 *                       as it would cost more than it saves
 *      "bypass_reason"  why, or null
 *      "bypass_switches"  how often it became bypassed
 *      "probes"         how often it was tried again
 *   }},
 *  "store": {"bytes", "entries", "budget_bytes", "evictions", "rejected", "insertions"}}
 *
 * A second region of the same id is called "<id>@<first 8 digits of its fingerprint>". */
ACTCACHE_EXPORT size_t actcache_stats_json(char* buffer, size_t capacity);

/* The knobs in effect for the process, as one JSON object of the names above: bytes and shares as
 * numbers, a time that is not limited as null. "memory_bytes" is the memory this process may use.
 * As above. */
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
