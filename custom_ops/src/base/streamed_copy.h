// Copies past the processor's caches.
#ifndef ACTCACHE_BASE_STREAMED_COPY_H_
#define ACTCACHE_BASE_STREAMED_COPY_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/sanitized.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace actcache {

// Of a copy of so many bytes little would still be in the caches when somebody reads it.
inline constexpr std::size_t kStreamedBytes = std::size_t{16} << 20;
// Of shorter pieces, the cache lines at the ends take too long.
inline constexpr std::size_t kLeastStreamed = std::size_t{2} << 10;

// Like memcpy, but does not read what is written over into the caches first. memcpy does so by
// itself for single copies of a few MiB; this is for pieces of a large copy. On other processors it
// is memcpy, and under a sanitizer, which does not see these writes.
inline void StreamedCopy(std::byte* to, const std::byte* from, std::size_t bytes) {
#if defined(__SSE2__)
  if (!kSanitized && bytes >= kLeastStreamed) {
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kAhead = 512;
    const std::size_t before = (kLine - reinterpret_cast<std::uintptr_t>(to) % kLine) % kLine;
    std::memcpy(to, from, before);
    std::size_t done = before;
    for (; bytes - done >= kLine; done += kLine) {
      const auto* const source = reinterpret_cast<const __m128i*>(from + done);
      auto* const target = reinterpret_cast<__m128i*>(to + done);
      const __m128i a = _mm_loadu_si128(source);
      const __m128i b = _mm_loadu_si128(source + 1);
      const __m128i c = _mm_loadu_si128(source + 2);
      const __m128i d = _mm_loadu_si128(source + 3);
      _mm_prefetch(reinterpret_cast<const char*>(from + done) + kAhead, _MM_HINT_NTA);
      _mm_stream_si128(target, a);
      _mm_stream_si128(target + 1, b);
      _mm_stream_si128(target + 2, c);
      _mm_stream_si128(target + 3, d);
    }
    std::memcpy(to + done, from + done, bytes - done);
    _mm_sfence();  // other threads read it once this one is done
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}

}  // namespace actcache

#endif  // ACTCACHE_BASE_STREAMED_COPY_H_
