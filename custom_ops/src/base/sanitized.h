// Whether a sanitizer that has an allocator of its own watches this process.
#ifndef ACTCACHE_BASE_SANITIZED_H_
#define ACTCACHE_BASE_SANITIZED_H_

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ACTCACHE_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ACTCACHE_SANITIZED true
#endif
#endif
#if !defined(ACTCACHE_SANITIZED)
#define ACTCACHE_SANITIZED false
#endif

namespace actcache {

inline constexpr bool kSanitized = ACTCACHE_SANITIZED;

}  // namespace actcache

#endif  // ACTCACHE_BASE_SANITIZED_H_
