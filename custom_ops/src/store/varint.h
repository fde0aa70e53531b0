// Small numbers in few bytes: seven bits a byte, the least significant first, the top bit set on
// all but the last (LEB128).
#ifndef ACTCACHE_STORE_VARINT_H_
#define ACTCACHE_STORE_VARINT_H_

#include <cstddef>
#include <cstdint>

namespace actcache {

constexpr std::size_t VarintBytes(std::uint64_t value) noexcept {
  std::size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

// Writes VarintBytes(value) bytes; returns where they end.
inline unsigned char* WriteVarint(unsigned char* at, std::uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<unsigned char>(value | 0x80);
  *at++ = static_cast<unsigned char>(value);
  return at;
}

// Reads what WriteVarint() wrote and moves `at` behind it.
inline std::uint64_t ReadVarint(const unsigned char** at) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const unsigned char byte = *(*at)++;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

}  // namespace actcache

#endif  // ACTCACHE_STORE_VARINT_H_
