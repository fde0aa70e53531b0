// A keying: how the keys of a call's units are made. Keys are equal exactly where results are, as
// far as the region alone decides: they cover all that a unit's results depend on.
#ifndef ACTCACHE_UNITS_KEYING_H_
#define ACTCACHE_UNITS_KEYING_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/small_vector.h"
#include "hash/key.h"
#include "store/offer.h"
#include "units/cut.h"
#include "units/parallel.h"
#include "units/tensor_view.h"

namespace actcache {

using ElementTypes = SmallVector<ElementType, 8>;
using Keys = SmallVector<Key, 8>;
using KeyTails = SmallVector<KeyTail, 8>;

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

// Of one region in one session. Immutable.
class Keying {
 public:
  explicit Keying(KeyScope scope) : scope_(scope) {}
  virtual ~Keying() = default;
  Keying(const Keying&) = delete;
  Keying& operator=(const Keying&) = delete;

  // The keys of units.count units. `call_namespace` has a value exactly if calls name one. Where
  // `tails` is not null it gets their second halves, for names that leave the process; of XXH3 they
  // are worth nothing. May throw std::bad_alloc. REQUIRES: `units` are those of `inputs`, by the
  // region's cut.
  virtual Keys KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
                      const std::vector<TensorView>& inputs, const Parallel& parallel,
                      KeyTails* tails) const = 0;

  // Where such keys mean the same.
  KeyScope scope() const { return scope_; }

 private:
  const KeyScope scope_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_KEYING_H_
