// The signatures of a call's units: cheap samples, by which repetition is noticed without hashing.
#ifndef ACTCACHE_UNITS_UNIT_SIGNATURES_H_
#define ACTCACHE_UNITS_UNIT_SIGNATURES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "policy/signature_filter.h"
#include "units/cut.h"
#include "units/tensor_view.h"

namespace actcache {

// Of a unit's part in one input this many bytes are looked at: all of a part that is no longer,
// else kSampledPieces pieces at equal distances, the first and the last included.
inline constexpr std::size_t kSampledBytes = 512;
inline constexpr std::size_t kSampledPieces = 32;

// `units` and `inputs` as for Keying::KeysOf(), here and below. Bytes of one unit's inputs, those
// that all units share included; of strings, the average unit's.
std::size_t UnitBytes(const Units& units, const std::vector<TensorView>& inputs);

// Notes all units and returns how many were there already, earlier units of this call included.
// Units of different `name_space` never meet. REQUIRES: SecretError() == nullptr.
std::size_t NoteUnits(SignatureFilter& filter, std::uint32_t name_space, const Units& units,
                      const std::vector<TensorView>& inputs);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_UNIT_SIGNATURES_H_
