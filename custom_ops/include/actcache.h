/* actcache's control functions, for the program that hosts onnxruntime.
 *
 * The library is loaded by onnxruntime (RegisterCustomOps) and stays loaded until the process ends.
 * There is one store per process, whichever sessions and models use it. All functions are
 * thread-safe, may be called before any session exists and in a child made by fork(), and never
 * throw. onnxruntime's sessions must be created after the fork.
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
 * ACTCACHE_<NAME>; but namespace, ttl_seconds and max_entry_age are per session, and a session's
 * own entry takes precedence over what is set here.
 *
 *   "budget_bytes"           what the store may hold: "268435456", "512MiB", "1.5GiB", or "10%" of
 *                            the memory this process may use; "0" turns the cache off. Default:
 *                            256 MiB, or an eighth of that memory if it is less
 *   "hash"                   "blake3", or "xxh3": faster, for inputs that nobody crafts
 *   "namespace"              entries of one are never seen from another; at most 256 bytes
 *   "ttl_seconds"            after which an entry that is stored from now on is gone; or "inf"
 *   "max_entry_age"          seconds beyond which no entry is used; or "inf"
 *   "verify_fraction"        share of hits, 0 to 1, that are computed and compared; default 0
 *   "verify_tolerance"       largest relative difference treated as equal; default 1e-4
 *   "on_mismatch"            "evict" the entry, or also "disable" the region
 *   "namespace_quota_bytes"  what one namespace may hold, "10%" is of the budget; default 0: none
 *   "bypass"                 "auto": regions that cost more than they save stop looking up; "off"
 *   "single_flight"          "on": concurrent calls that miss one key compute it once; "off"
 *   "metrics_path"           a file that is rewritten every second while this is set, and when
 *                            the process exits: Prometheus text if its name ends in ".prom", else
 *                            the statistics below as JSON, with "schema", "time", "pid", "version".
 *                            "%p" in it stands for the process id; a child made by fork() then
 *                            begins its own file when it creates a session or sets a knob, and has
 *                            none otherwise. Default "": none
 *   "audit_path"             file that records what becomes of every row (docs/audit.md); "": none.
 *                            "%p" in it stands for the process id. What happened before is in its
 *                            file when this returns
 *   "audit_max_bytes"        size at which that file is renamed and a new one begun
 *   "audit_files"            how many renamed ones are kept
 *   "audit_buffer_bytes"     memory for what is not written yet; what does not fit is dropped
 *   "disk_path"              folder of a store on a disk, which processes share; "" for none
 *   "disk_budget_bytes"      bytes that this store may take, for all processes together
 *   "remote_url"             server that machines share (docs/remote-store.md), for instance
 *                            redis://host:6379/0; "" for none. It needs one of the next two, which
 *                            are set first
 *   "remote_secret"          text of 16 bytes or more that all of these machines have
 *   "remote_secret_file"     file whose first line is that text
 *   "remote_password_file"   file whose first line is the server's password
 *   "remote_ttl_seconds"     how long a value stays there
 *   "remote_max_value_bytes" larger values are not sent
 *   "remote_ca_file"         certificates of who may vouch for a server with TLS (rediss://)
 *   "remote_cert_file"       certificate of this client, and
 *   "remote_key_file"        its key
 *   "portable"               "on": machines whose processors differ share values through tiers,
 *                            if their first results are equal but for rounding; or "off"
 *
 * A null `value` takes the setting back. Returns 0, or -1 and a message in actcache_last_error().
 */
ACTCACHE_EXPORT int actcache_configure(const char* name, const char* value);

/* Writes what waits for disk_path and remote_url, for at most so many seconds. Returns 1 if all of
 * it is written, 0 if not. A process that ends does the same for five seconds. */
ACTCACHE_EXPORT int actcache_flush(double seconds);

/* Looks into a disk store, or changes it, also while services use it. Answers in JSON, with an
 * object that has the member "error" if it cannot; null if memory ran out. Valid until this
 * thread's next call. A `region` or `name_space` that is null is any. `what` is one of:
 *
 *   "stat"      "path", "budget_bytes", "entries", "bytes", "file_bytes", "evicted", and "regions",
 *               a list with "region", "namespace", "entries", "bytes", "in_files", "oldest",
 *               "newest"
 *   "ls"        "entries", a list of at most `number` entries of `region` and `name_space`
 *   "verify"    reads and checks everything; with a `number` other than 0 removes what is damaged:
 *               "entries", "damaged", "removed"
 *   "purge"     removes the entries of `region` and `name_space`: "removed", "damaged_index"
 *   "copy"      copies all entries to the store in the folder `other`, which is made with the same
 *               secret if it is not there; `number` is its budget, 0 what it has: "copied",
 *               "present", "damaged", "refused"
 */
ACTCACHE_EXPORT const char* actcache_store(const char* what, const char* folder, const char* other,
                                           const char* region, const char* name_space,
                                           uint64_t number);

/* What was wrong with this thread's last call; "" if it succeeded. Never null, valid until the
 * thread's next call of any function here. */
ACTCACHE_EXPORT const char* actcache_last_error(void);

/* Writes the statistics as a JSON text with its NUL into `buffer` if they fit, and returns the
 * bytes needed either way (0 only on failure). They can grow between two calls: ask again if the
 * second answer is larger than the buffer.
 *
 * {"forked": true in a child made by fork(), which starts with an empty store and counts from 0
 *  "regions": {id: {
 *      "fingerprint"     hexadecimal
 *
 *      in rows, where a lookup of a whole call is one row:
 *      "lookups"         always hits + misses + bypassed
 *      "hits"            were not computed
 *      "misses"          were computed
 *      "bypassed"        were computed without being looked up
 *      "duplicates"      those of the hits that equal a missing row of their own call
 *      "joined"          those of the hits that waited for another call to compute them
 *      "disk_hits", "remote_hits"   those of the hits that a tier had, and memory had not
 *      "expired"         those of the misses whose entry was there, but too old
 *      "verified"        were computed to be compared with their entry
 *      "compared"        those of the verified whose entry another session had made
 *      "mismatches"      those of the verified that differed
 *      "stored"          were published in the store
 *      "not_admitted"    were computed and not published: too large, not worth it, there already
 *      "first_sights"    those of them that were not stored as nothing repeated so far
 *
 *      "kept_apart"      sessions that use no entries of others since such a row differed
 *      "evicted"         entries that made room for others
 *      "anomalies"       calls whose results were not one row per row, and so were not cached
 *      "calls"           calls of the lookup
 *      "bytes", "pinned_bytes"   now held
 *      "saved_seconds"   what computing the hits took when they were computed
 *      "hash_seconds", "copy_seconds", "compute_seconds"   spent since the process started
 *      "overhead_seconds"   spent in both operators, hashing and copying included
 *      "state"           "active"; "bypassed": nothing is looked up, as it would not pay; or
 *                        "disabled" for good, by a mismatch
 *      "bypass_reason"   why, or null
 *      "bypass_switches" how often it became bypassed
 *      "probes"          how often it was tried again
 *      "fed"             calls while it was bypassed that were looked up and stored for others
 *   }},
 *  "store": {"bytes", "entries", "budget_bytes", "namespace_quota_bytes", "pinned_bytes",
 *            "pinned_entries": now; "insertions", "rejected", "evictions", "expired",
 *            "invalidated", "replaced": so far, in entries},
 *  "namespaces": {name: {"bytes", "entries"}}, of those that hold something
 *  "tiers": {"disk", "remote": {
 *      "available"       false: nothing is asked of it at present
 *      "problem"         null, or why it is not asked, or not written to, at present
 *      in values, since the tier was set up:
 *      "hits", "misses"  of what was asked of it
 *      "damaged"         those of the misses where something was there, but no sound record
 *      "late"            those of the misses that were not there in time
 *      "stored"          "refused": had no room there; "dropped": were not even tried, as too much
 *                        was waiting to be written; "evicted": made room for others
 *      "errors"          faults of the disk or the server
 *      "fetched_bytes", "stored_bytes"
 *      "queued_bytes"    waiting to be written, now
 *      "entries", "bytes", "budget_bytes"   of the whole store, now, whoever uses it
 *  }}, those that are set up
 *  "audit": {"written", "dropped": events of the audit log so far; "bytes": in its files}
 * }
 *
 * A second region of the same id is called "<id>@<first 8 digits of its fingerprint>". */
ACTCACHE_EXPORT size_t actcache_stats_json(char* buffer, size_t capacity);

/* The knobs in effect for the process, as one JSON object of the names above: bytes and shares as
 * numbers, a time that is not limited as null. "memory_bytes" is the memory this process may use.
 * As above. */
ACTCACHE_EXPORT size_t actcache_config_json(char* buffer, size_t capacity);

/* These remove entries, or pin them, or take their pins back, and return how many they changed; -1
 * on failure. Entries are meant that meet every selector: of the namespace, of the regions of that
 * id (of several models, maybe), of the regions of that fingerprint, and stored at least so many
 * seconds ago (up to 17 ms less). Null, and an age of 0, select all.
 *
 * A region or a fingerprint that no session of this process ever had is a failure, whose message
 * lists those there are; a misspelt name would otherwise leave stale entries in use. A namespace
 * that holds nothing is none: the answer is 0.
 *
 * What is being computed while actcache_invalidate() is called is not stored. A pinned entry is
 * not evicted for room or for a quota; it expires and is invalidated like any other, and a budget
 * lower than what is pinned evicts it too. Counters keep their values. */
ACTCACHE_EXPORT int64_t actcache_invalidate(const char* name_space, const char* region,
                                            const char* fingerprint, double min_age_seconds);
ACTCACHE_EXPORT int64_t actcache_pin(const char* name_space, const char* region,
                                     const char* fingerprint, double min_age_seconds);
ACTCACHE_EXPORT int64_t actcache_unpin(const char* name_space, const char* region,
                                       const char* fingerprint, double min_age_seconds);

/* Says that a Run on this thread has failed or was terminated. Other threads may be waiting for
 * what it was to compute; onnxruntime does not tell the library. Without this call they go on when
 * they see this thread idle, when it runs the model again or ends, or after a small multiple of the
 * time that computing usually takes. Harmless at any time. */
ACTCACHE_EXPORT void actcache_abandon(void);

/* As actcache_abandon(), of a Run that began at `begin_ns`: nanoseconds of CLOCK_MONOTONIC (which
 * is std::chrono::steady_clock), read on this thread before Run(). What lookups on this thread have
 * found since then, and that Run has not copied, is let go as well. Without this call large results
 * stay for a while, counted against the budget. To be called when Run() has returned: no other Run
 * that began on this thread since `begin_ns` may go on. With onnxruntime's parallel executor
 * lookups are on other threads, and what they have found stays for a while all the same. */
ACTCACHE_EXPORT void actcache_abandon_run(uint64_t begin_ns);

/* For replaying an audit log. The next call of that region, of those that no call of this function
 * was for yet, decides as a recorded one did: it looks up (`passed`: it does not) as at
 * `lookup_ns`, and what it computes is offered to the store as at `store_ns`, with the costs of a
 * row that the log has, instead of what is measured; nor does it tell whether the region pays.
 * `outcomes`: the letters of its "store" line, or null; what is 'f' there is not offered.
 * Times are the "now_ns" of the log's lines. Such calls have to be made one after the other, in the
 * order of the log, and to begin with an empty store. Returns 0, or -1 if no session has had such a
 * region yet. */
ACTCACHE_EXPORT int actcache_replay(const char* region, const char* fingerprint, uint64_t lookup_ns,
                                    uint64_t store_ns, uint64_t cost_ns, uint64_t fetch_ns,
                                    int passed, const char* outcomes);

/* Says of the call that actcache_replay() was last called for that it had a value from a tier
 * ("disk", "remote"): that of `row`, with its cost (0: not known), its age, and the nanoseconds
 * until it expires (0: never). It was used, or compared first where it is not `trusted`. The call
 * then asks the tiers of this process for the values that it is told of, and takes them as if they
 * came from there; one that they do not have is computed. A replayed call writes nothing to tiers.
 * Returns 0, or -1 if there is no such tier, or no such call that is still to come. */
ACTCACHE_EXPORT int actcache_replay_fetched(const char* region, const char* fingerprint,
                                            uint64_t row, const char* tier, uint64_t cost_ns,
                                            uint64_t age_ns, uint64_t ttl_ns, int trusted);

/* A store of its own that holds no values: what a budget would keep of a stream of requests,
 * decided as the store of the process decides. Null if there is no memory; one thread at a time. */
struct actcache_simulation;
ACTCACHE_EXPORT struct actcache_simulation* actcache_simulation_new(uint64_t budget_bytes);
ACTCACHE_EXPORT void actcache_simulation_free(struct actcache_simulation* simulation);

/* Plays `count` requests, one after the other. Each looks an entry up and, if it is not there,
 * offers it to the store. Entries are told apart by `keys` and `regions`; `bytes` are those of
 * their values, `saving_ns` what a hit saves. Sets `hits` to 1 or 0. Returns 0, or -1 if memory ran
 * out. */
ACTCACHE_EXPORT int actcache_simulate(struct actcache_simulation* simulation, size_t count,
                                      const uint32_t* regions, const uint64_t* keys,
                                      const uint64_t* bytes, const uint64_t* saving_ns,
                                      uint8_t* hits);

/* One call of a region of prefixes: `rows` rows of a batch of `length` positions each. `keys` are
 * those of all positions, row by row; each stands for its position and all before it in its row. If
 * any position is computed, `min_suffix` are, or all. `bytes` are those of an entry, `end_bytes`
 * what the entry of a call's last position holds beside (0: nothing), which a call that is found as
 * a whole has to have if `hands_ends_on`. `saving_ns` is what a hit on a position saves. */
struct actcache_simulated_chains {
  uint32_t region;
  size_t rows;
  size_t length;
  size_t min_suffix;
  const uint64_t* keys;
  uint64_t bytes;
  uint64_t end_bytes;
  uint64_t saving_ns;
  int hands_ends_on;
};

/* Plays such a call: looks its positions up, and offers those to the store that it would compute.
 * Returns how many of each row it would have found and used, or -1 if memory ran out. */
ACTCACHE_EXPORT int64_t actcache_simulate_chains(struct actcache_simulation* simulation,
                                                 const struct actcache_simulated_chains* call);

/* Reads a number of bytes as the knobs take it, "512MiB" say, or "10%" of `whole`. Returns -1 if
 * `text` is none, or too large. */
ACTCACHE_EXPORT int64_t actcache_parse_bytes(const char* text, uint64_t whole);

/* What the store may hold, if nobody says, in a process that may use `memory_bytes`. */
ACTCACHE_EXPORT uint64_t actcache_default_budget(uint64_t memory_bytes);

/* Says of the sessions that this thread creates from now on what the library cannot see: `text` is
 * equal only for sessions of one model file, byte for byte, with the same options (level of
 * optimisation, providers, ...). Such sessions use each other's entries at once, in other processes
 * too; without it, rows of another session are compared first. Call it before a session is created,
 * and with null after it. Returns 0, or -1 if memory ran out. */
ACTCACHE_EXPORT int actcache_state_model(const char* text);

/* For the compiler: writes 32 bytes that stand for a tensor's type (onnx's number), sizes and
 * values (no strings), the same in every process; sessions compare theirs. Returns 0, or -1 if
 * memory ran out. */
ACTCACHE_EXPORT int actcache_tensor_digest(int32_t type, const int64_t* dims, size_t rank,
                                           const void* data, size_t bytes, unsigned char* digest);

/* How a region of these attributes divides a call into units: its rows, or one for all of it. It
 * decides nothing for any session; it is for who has to know what CacheLookup does.
 *
 * Of `inputs` tensors, `types` (TensorProto.DataType), `ranks`, and `dims`, one tensor's after the
 * other's. `row_axes` is CacheLookup's attribute input_row_axes, null for a region that is cached
 * by whole calls; `row_ranks` its input_ranks, or null; `equations` its size_equations, of
 * `equation_numbers` numbers. Returns the number of units, and sets `why` to 0 if they are rows,
 * else to why the call is one unit: 1 the region is cached by whole calls, 2 an input has another
 * rank, 3 an input lacks the row axis, 4 rows of an input are not whole bytes, 5 the inputs have
 * different numbers of rows, 6 too many rows, 7 the equations do not hold. -1: these are not a
 * region's attributes. */
ACTCACHE_EXPORT int64_t actcache_units(size_t inputs, const int32_t* types, const size_t* ranks,
                                       const int64_t* dims, const int64_t* row_axes,
                                       const int64_t* row_ranks, const int64_t* equations,
                                       size_t equation_numbers, int* why);

/* Likewise for a region of prefixes: into blocks of `block` positions of each row, of which this
 * returns how many there are. `row_axes` and `position_axes` are CacheLookup's attributes
 * input_row_axes and input_position_axes, `input_ranks` is null or that one. No blocks and a reason
 * other than 0: the call is computed without the cache. */
ACTCACHE_EXPORT int64_t actcache_prefix_units(size_t inputs, const int32_t* types,
                                              const size_t* ranks, const int64_t* dims,
                                              const int64_t* row_axes, const int64_t* position_axes,
                                              size_t block, const int64_t* input_ranks,
                                              const int64_t* equations, size_t equation_numbers,
                                              int* why);

/* The library's version, "0.1.0". */
ACTCACHE_EXPORT const char* actcache_version(void);

/* The version of this interface; a change that breaks a caller raises it. */
ACTCACHE_EXPORT int actcache_abi(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ACTCACHE_H_ */
