// Chained keys: of a unit and of all before it in its row.
//
// A row's chain starts with what keys of rows cover (exact_keying.h), and with the content of
// inputs that have no positions: key(-1). Then key(b) covers key(b - 1) and block b of every input
// that has positions. The number of positions is in no key: what depends on it is not in a region.
#ifndef ACTCACHE_UNITS_CHAINED_KEYING_H_
#define ACTCACHE_UNITS_CHAINED_KEYING_H_

#include <vector>

#include "hash/hasher.h"
#include "units/key_parts.h"
#include "units/keying.h"

namespace actcache {

class ChainedKeying final : public Keying {
 public:
  // `cut`: the region's own, a chained one; its axes and its block are part of every key. Copies
  // all it is given.
  ChainedKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
                const ElementTypes& output_types);

  Keys KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
              const std::vector<TensorView>& inputs, const Parallel& parallel,
              KeyTails* tails) const override;

 private:
  Hasher start_;
  Hasher link_;
  Hasher segment_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CHAINED_KEYING_H_
