// The signatures of a call's rows: cheap samples, by which repetition is noticed without hashing.
#ifndef ACTCACHE_UNITS_ROW_SIGNATURES_H_
#define ACTCACHE_UNITS_ROW_SIGNATURES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "policy/signature_filter.h"
#include "units/row_keys.h"
#include "units/tensor_view.h"

namespace actcache {

// Of a row's part in one input this many bytes are looked at: all of a part that is no longer, else
// kSampledPieces pieces at equal distances, the first and the last included.
inline constexpr std::size_t kSampledBytes = 512;
inline constexpr std::size_t kSampledPieces = 32;

// `inputs`, `axes` and `rows` as for ComputeKeys(), here and below. Bytes of one row's inputs,
// those that all rows share included; of strings, the average row's.
std::size_t RowBytes(const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows);

// Notes all rows and returns how many were there already, earlier rows of this call included. Rows
// of different `name_space` never meet. REQUIRES: SecretError() == nullptr.
std::size_t NoteRows(SignatureFilter& filter, std::uint32_t name_space,
                     const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_ROW_SIGNATURES_H_
