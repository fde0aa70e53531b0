// Chains: entries that are of no use without the one before them, the beginnings of a sequence.
#ifndef ACTCACHE_STORE_EVICTION_CHAIN_WORTH_H_
#define ACTCACHE_STORE_EVICTION_CHAIN_WORTH_H_

#include <cmath>
#include <limits>

namespace actcache {

// The most that an entry may be worth behind one that is worth `before`: less, if by next to
// nothing. So what follows an entry always goes before it does. Before the first of a chain, and of
// what is in none, is infinity.
inline double MostBehind(double before) noexcept {
  return std::nextafter(before, -std::numeric_limits<double>::infinity());
}

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_CHAIN_WORTH_H_
