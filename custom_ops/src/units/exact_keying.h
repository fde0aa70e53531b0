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
#include <string_view>
#include <vector>

#include "hash/hasher.h"
#include "units/keying.h"

namespace actcache {

// What all keys of a region begin with.
struct KeyIdentity {
  std::string_view fingerprint;
  std::string_view name_space;  // the session's
  // Every call names a namespace, too. It does not replace the session's: entries are shared where
  // both are equal. As this is part of the key, a call's namespace never meets a session's of the
  // same name, nor an empty one a missing one.
  bool per_call = false;
  std::string_view session = "";        // what else sessions have to agree in to share entries
  KeyScope scope = KeyScope::kProcess;  // of `session`; not part of the key
};

// A single part larger than kBigPart is hashed in segments of kSegment, in parallel, and the
// digests stand for it. Sizes are fixed, so that a key does not depend on the number of threads.
inline constexpr std::size_t kBigPart = std::size_t{1024} * 1024;
inline constexpr std::size_t kSegment = std::size_t{256} * 1024;

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
