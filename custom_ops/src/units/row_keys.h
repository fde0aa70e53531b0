// The keys of a call: one per row of the batch, or one for all of it.
//
// A key covers, each part framed by its length: format version, kind, whether calls name their own
// namespace, fingerprint, the session's namespace and its options that may change values, the
// live-outs' types and row axes; the call's own namespace, if there is one; the class of the call's
// number of rows, if the region tells some apart (computed_rows.h); then for every frontier tensor
// its type, rank, row axis and dimensions (without the row axis) and the bytes: of the whole tensor
// where it has no row axis, of the row where it has one. So tensors with equal bytes and different
// shapes do not meet, nor do strings that concatenate to the same text.
#ifndef ACTCACHE_UNITS_ROW_KEYS_H_
#define ACTCACHE_UNITS_ROW_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/small_vector.h"
#include "hash/hasher.h"
#include "hash/key.h"
#include "units/parallel.h"
#include "units/plan.h"
#include "units/tensor_view.h"

namespace actcache {

using Axes = SmallVector<std::int64_t, 8>;
using ElementTypes = SmallVector<ElementType, 8>;
using Keys = SmallVector<Key, 8>;

// The hashers that a region's keys start from; made once per kernel and copied per call.
struct KeyBase {
  Hasher row;
  Hasher whole;
  Hasher segment;

  // `per_call`: every call names a namespace, too. It does not replace the session's: entries are
  // shared where both are equal. As this is part of the key, a call's namespace never meets a
  // session's of the same name, nor an empty one a missing one.
  // `session`: what else sessions have to agree in to share entries (SessionSettings).
  KeyBase(HashKind kind, std::string_view fingerprint, std::string_view name_space, bool per_call,
          const ElementTypes& output_types, const Axes& output_row_axes,
          std::string_view session = "");

  const Hasher& of(PlanKind kind) const { return kind == PlanKind::kRow ? row : whole; }
};

// A single part larger than kBigPart is hashed in segments of kSegment, in parallel, and the
// digests stand for it. Sizes are fixed, so that a key does not depend on the number of threads.
inline constexpr std::size_t kBigPart = std::size_t{1024} * 1024;
inline constexpr std::size_t kSegment = std::size_t{256} * 1024;

// Computes `rows` keys. `axes[i]` is the row axis of inputs[i], -1 for none; where it is not -1,
// inputs[i].dims[axes[i]] == rows and the type has byte rows. For PlanKind::kWhole: rows == 1, and
// no input has a row axis. `call_namespace` has a value exactly if `base` was made `per_call`.
// `min_rows`: the region's attribute, for PlanKind::kRow.
Keys ComputeKeys(const KeyBase& base, PlanKind kind,
                 const std::optional<std::string>& call_namespace,
                 const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows,
                 const Parallel& parallel, std::size_t min_rows = 1);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_ROW_KEYS_H_
