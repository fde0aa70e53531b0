// How often tests repeat what they do.
#ifndef ACTCACHE_TESTS_ROUNDS_H_
#define ACTCACHE_TESTS_ROUNDS_H_

namespace actcache::testing_support {

// `count`, but a fifth of it under ThreadSanitizer, where code runs up to thirty times slower. What
// that looks for are accesses that nothing orders; it finds them whoever comes first, and they are
// the same in every round. All other builds run all rounds.
constexpr int Rounds(int count) {
#if defined(__SANITIZE_THREAD__)
  return count / 5;
#else
  return count;
#endif
}

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_ROUNDS_H_
