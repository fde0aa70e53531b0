// Exact keys: of every byte that a unit's results depend on.
//
// A key covers, each part framed by its length: format version, kind of cut, whether calls name
// their own namespace, fingerprint, the session's namespace and its options that may change values,
// the live-outs' types and axes; the call's own namespace, if there is one; the class of the call's
// number of units, if the region tells some apart (Cut::CountClass); then for every frontier tensor
// its type, rank, axis and dimensions (without that axis) and the bytes: of the whole tensor where
// it is not divided, of the unit where it is. So tensors with equal bytes and different shapes do
// not meet, nor do strings that concatenate to the same text.
#ifndef ACTCACHE_UNITS_EXACT_KEYING_H_
#define ACTCACHE_UNITS_EXACT_KEYING_H_

#include <cstddef>
#include <vector>

#include "hash/hasher.h"
#include "units/keying.h"

namespace actcache {

class ExactKeying final : public Keying {
 public:
  // `cut`: the region's own; its axes are part of every key. Copies all it is given.
  ExactKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
              const ElementTypes& output_types);

  Keys KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
              const std::vector<TensorView>& inputs, const Parallel& parallel,
              KeyTails* tails) const override;

 private:
  // What keys start from: in calls that are divided, and in those that are one unit.
  Hasher divided_;
  Hasher whole_;
  Hasher segment_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_EXACT_KEYING_H_
