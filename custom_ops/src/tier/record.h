// How a value travels outside of the process: one block of bytes that says all of itself, and that
// is checked before anything of it is believed.
//
// Layout, all numbers little-endian:
//   0    magic "actcache"
//   8    u32 format (kRecordFormat)      12  u32 bytes before the payloads
//   16   u64 bytes in all, checksum included
//   24   32 bytes of key                 56  32 bytes of identity
//   88   u64 made, 96 u64 expires (0: never), both in nanoseconds since 1970
//   104  u64 nanoseconds that computing it took
//   112  u32 tensors   116 u32 bytes of the fingerprint   120 u32 of the region   124 u32 of the
//        namespace
//   128  fingerprint, region, namespace; then for each tensor i32 dtype, u32 rank, u64 bytes and
//        rank times i64; zeros up to a multiple of kPayloadAlignment
//   then the payloads, each followed by zeros up to a multiple of kPayloadAlignment
//   last 32 bytes: the checksum, keyed, of everything before
//
// The checksum is keyed with the tier's secret: bytes that anyone else has written are no record.
#ifndef ACTCACHE_TIER_RECORD_H_
#define ACTCACHE_TIER_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hash/digest.h"
#include "store/offer.h"
#include "tier/buffer.h"

namespace actcache {

// The name of a value outside of the process: 256 bits. Equal bytes in every process that has the
// same secret.
using TierKey = Digest;

inline constexpr std::uint32_t kRecordFormat = 1;
inline constexpr std::size_t kPayloadAlignment = 64;
// Above this no record is made or read, whatever a tier would take.
inline constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 30;

// What a record says beside its tensors. Does not own the texts.
struct RecordFields {
  TierKey key{};
  Digest identity{};             // of who computed it; zeros: not known
  std::string_view fingerprint;  // of the region
  std::string_view region;       // its name, for people
  std::string_view name_space;   // likewise; the key covers it
  std::uint64_t made_ns = 0;     // UnixNow()
  std::uint64_t expires_ns = 0;  // UnixNow(); 0: never
  std::uint64_t cost_ns = 0;     // what computing it took
  // Of a unit of a chain: what it follows, without which it is of no use. Not in the bytes.
  std::optional<TierKey> before;
};

// Nanoseconds since 1970, by the machine's clock, which may be set back.
std::uint64_t UnixNow() noexcept;

// A sealed record, or one that is being made; owns its bytes. Move-only. An empty one is false.
class Record {
 public:
  Record() = default;

  // A record with room for these tensors, whose payloads are not written yet. False if there is no
  // memory, or if it were larger than kMaxRecordBytes.
  static Record Make(const RecordFields& fields, const TensorSpec* specs,
                     std::size_t count) noexcept;

  // Takes `bytes`, if they are a sealed record of `key`. Otherwise false, and `problem` says why,
  // in words for the user. Reads every byte.
  static Record Open(Buffer bytes, const TierKey& key, const DigestKey& secret,
                     const char** problem) noexcept;

  explicit operator bool() const noexcept { return bytes_.size() != 0; }

  // REQUIRES true, for the rest.
  // Writes the checksum, once the payloads are written. bytes() is what travels from then on.
  void Seal(const DigestKey& secret) noexcept;
  const std::byte* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return bytes_.size(); }

  const RecordFields& fields() const noexcept { return fields_; }
  void Follow(const std::optional<TierKey>& before) noexcept { fields_.before = before; }
  std::size_t tensor_count() const noexcept { return specs_.size(); }
  // REQUIRES: i < tensor_count().
  const TensorSpec& spec(std::size_t i) const noexcept { return specs_[i]; }
  const std::byte* payload(std::size_t i) const noexcept { return bytes_.data() + offsets_[i]; }
  std::byte* payload(std::size_t i) noexcept { return bytes_.data() + offsets_[i]; }
  const std::vector<TensorSpec>& specs() const noexcept { return specs_; }

  bool Expired(std::uint64_t unix_ns) const noexcept {
    return fields_.expires_ns != 0 && unix_ns >= fields_.expires_ns;
  }

 private:
  // Reads the header. Null if it is sound, else what is wrong. May throw std::bad_alloc.
  const char* Parse();

  Buffer bytes_;
  RecordFields fields_;  // its texts point into bytes_
  std::vector<TensorSpec> specs_;
  std::vector<std::size_t> offsets_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_RECORD_H_
