// Chains in a disk store: entries that are of no use without the one before them, the beginnings of
// a sequence.
#ifndef ACTCACHE_TIER_DISK_CHAINS_H_
#define ACTCACHE_TIER_DISK_CHAINS_H_

#include <optional>

#include "tier/disk/database.h"
#include "tier/record.h"

namespace actcache {

// Keeps each entry worth more than what follows it, so that ends leave before beginnings. In memory
// what follows is worth less (store/eviction/chain_worth.h). Here beginnings are worth more, too:
// processes that have them in memory do not ask for them, so the store does not see their uses, but
// whoever uses an end has used all before it.
//
// Used by one thread, in a transaction for writing. Throws DatabaseError.
class Chains {
 public:
  explicit Chains(Database* index);

  // For an entry of `worth` that follows the entry of `key`: that one, and those before it, become
  // worth more, if this changes at most *changes entries; these are counted off. Returns what the
  // entry may be worth; nothing if there is no entry of `key`: nobody would find what follows it.
  std::optional<double> Behind(const TierKey& key, double worth, int* changes);

 private:
  Statement find_;
  Statement raise_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_CHAINS_H_
