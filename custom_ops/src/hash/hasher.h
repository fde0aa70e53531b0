// Streaming keyed hash of framed parts.
#ifndef ACTCACHE_HASH_HASHER_H_
#define ACTCACHE_HASH_HASHER_H_

#include <cstddef>
#include <cstdint>

#include "hash/key.h"

namespace actcache {

enum class HashKind : std::uint8_t {
  kBlake3 = 1,  // keyed BLAKE3: collision-resistant against anyone without the process secret
  kXxh3 = 2,    // XXH3-128 with a random secret: faster, for inputs that nobody crafts
};

// A value: hash what is shared once, then copy the hasher for each row. A copy costs about as
// much as copying 200 bytes (BLAKE3, short prefix) or 600 bytes (XXH3).
//
// Every part goes in as Frame(), or as FrameHeader(total) followed by exactly `total` bytes of
// Raw(); then ("ab", "c") and ("a", "bc") differ. The kind is part of the key.
//
// If SecretError() is not null, the caller must have turned the cache off. A hasher that is used
// all the same never gives the same key twice, so that nothing can be found by it.
//
// One hasher belongs to one thread at a time; different hashers are independent.
class Hasher {
 public:
  explicit Hasher(HashKind kind) noexcept;
  Hasher(const Hasher& other) noexcept;
  Hasher& operator=(const Hasher& other) noexcept;

  // Appends the length as 8 little-endian bytes, then the bytes. `data` may be null if size is 0.
  void Frame(const void* data, std::size_t size) noexcept;

  // Appends only the length. The caller owes exactly `size` bytes of Raw().
  void FrameHeader(std::uint64_t size) noexcept;

  // Appends bytes of the frame that FrameHeader() opened, in as many pieces as convenient.
  void Raw(const void* data, std::size_t size) noexcept;

  // The key of everything appended so far; the hasher can go on afterwards.
  Key Finish() const noexcept;
  // Likewise, with the second half of BLAKE3's 256 bits; zeros for XXH3, which has no more than
  // 128.
  Key Finish(KeyTail* tail) const noexcept;

  HashKind kind() const noexcept { return kind_; }

 private:
  // Room for either library's state, whose headers stay out of this one; checked in hasher.cc.
  static constexpr std::size_t kStateBytes = 1920;

  alignas(64) unsigned char state_[kStateBytes];
  HashKind kind_;
};

}  // namespace actcache

#endif  // ACTCACHE_HASH_HASHER_H_
