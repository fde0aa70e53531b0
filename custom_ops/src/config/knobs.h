// The knobs: what a host program can set, in the one table that says how each is called, for whom
// it holds, what it takes and what it means.
//
//   name                   value                                  default        holds for
//   budget_bytes           bytes the store may hold: "268435456", 256 MiB or     the process
//                          "512MiB", "10%" of the memory that     1/8 of memory
//                          this process may use; 0: off
//   hash                   "blake3" or "xxh3"                     blake3         the process
//   namespace              any text of up to 256 bytes            ""             a session
//   ttl_seconds            seconds after which an entry that is   inf            a session
//                          stored from now on is gone; "inf"
//   max_entry_age          seconds beyond which an entry is not   inf            a session
//                          used, whatever its ttl; "inf"
//   verify_fraction        share of hits that are recomputed and  0              the process
//                          compared, 0 to 1
//   verify_tolerance       largest difference treated as equal    1e-4           the process
//   on_mismatch            "evict" the entry, or also "disable"   evict          the process
//                          the region, when they differ
//   namespace_quota_bytes  bytes one namespace may hold, as       0: no quota    the process
//                          above, "10%" is of the budget
//   bypass                 "auto": a region that costs more than  auto           the process
//                          it saves stops looking up; or "off"
//   single_flight          "on": concurrent calls that miss the   on             the process
//                          same key compute it once; or "off"
//   disk_path              folder of a store on a disk, which       "": none       the process
//                          processes share (docs/tiers.md)
//   disk_budget_bytes      bytes of the disk that it may take,      what it has,   the process
//                          for all processes together               else 1 GiB
//   remote_url             a server that machines share             "": none       the process
//                          (docs/remote-store.md)
//   remote_secret          text that all of them have, or the       ""             the process
//   remote_secret_file     file whose first line it is              ""             the process
//   remote_password_file   file whose first line is the server's    "": the one    the process
//                          password                                 of the URL
//   remote_ttl_seconds     how long a value stays there             7 days         the process
//   remote_max_value_bytes larger ones are not sent                 16 MiB         the process
//   remote_ca_file         who may vouch for a server with TLS      the system's   the process
//   remote_cert_file       certificate of this client, for TLS,     ""             the process
//   remote_key_file        and its key                              ""             the process
//   portable               "on": machines whose processors differ    off            the process
//                          share through tiers; or "off"
//   metrics_path           file that a snapshot is written to      "": none       the process
//                          every second (metrics/metrics_file.h)
//   audit_path             file that is told what becomes of      "": none       the process
//                          every row (docs/audit.md)
//   audit_max_bytes        size at which it is rotated            256 MiB        the process
//   audit_files            how many rotated ones are kept         4              the process
//   audit_buffer_bytes     memory for what is not written yet     8 MiB          the process
#ifndef ACTCACHE_CONFIG_KNOBS_H_
#define ACTCACHE_CONFIG_KNOBS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "audit/settings.h"
#include "hash/hasher.h"
#include "tier/settings.h"

namespace actcache {

inline constexpr std::uint64_t kNeverExpires = 0;            // a ttl_ns
inline constexpr std::uint64_t kAnyAge = ~std::uint64_t{0};  // a max_age_ns
inline constexpr std::size_t kMaxDefaultBudget = std::size_t{256} << 20;

// The budget that nobody set. 256 MiB hold the rows of most regions many times over and are little
// beside a model and its runtime on a server; on a small device, or in a small container, the model
// itself takes most of the memory, so that an eighth is what can be given away unasked.
constexpr std::size_t DefaultBudget(std::uint64_t memory_bytes) {
  const std::uint64_t share = memory_bytes / 8;
  return share < kMaxDefaultBudget ? static_cast<std::size_t>(share) : kMaxDefaultBudget;
}

// As the knob calls it.
constexpr const char* HashName(HashKind kind) {
  return kind == HashKind::kBlake3 ? "blake3" : "xxh3";
}

enum class OnMismatch : std::uint8_t { kEvict, kDisable };

// The knobs of which each session can have its own values.
struct SessionKnobs {
  std::string name_space;
  std::uint64_t ttl_ns = kNeverExpires;
  std::uint64_t max_age_ns = kAnyAge;
};

// What the knobs say; as constructed, the defaults.
struct KnobValues {
  explicit KnobValues(std::uint64_t memory_bytes_in)
      : memory_bytes(memory_bytes_in), budget_bytes(DefaultBudget(memory_bytes_in)) {}

  std::uint64_t memory_bytes;  // no knob: what this process may use
  std::size_t budget_bytes;
  HashKind hash = HashKind::kBlake3;
  SessionKnobs session;
  double verify_fraction = 0;
  double verify_tolerance = 1e-4;
  OnMismatch on_mismatch = OnMismatch::kEvict;
  std::size_t namespace_quota_bytes = 0;
  bool bypass = true;
  bool single_flight = true;
  std::string metrics_path;
  AuditSettings audit;
  TierSettings tiers;
  bool portable = false;
};

struct Knob {
  enum class Scope : std::uint8_t { kProcess, kSession };

  const char* name;
  Scope scope;
  const char* takes;  // ends the sentence "x has to be ..."
  // Reads `text` into `values`, whose fields for the knobs earlier in the table are set already.
  // False, and nothing changes, if it is not what the knob takes.
  bool (*read)(const std::string& text, KnobValues* values);
  // Why a value that the knob takes cannot be used on this machine; nothing if it can. Null for
  // knobs whose values always can.
  std::optional<std::string> (*obstacle)(const std::string& value) = nullptr;
  // Its values hold something that must not be shown, not even in an error.
  bool secret = false;
};

inline constexpr std::size_t kKnobCount = 28;
extern const std::array<Knob, kKnobCount> kKnobs;

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_KNOBS_H_
