// What keys are made of: identity, descriptions and content of tensors, each part framed by its
// length.
#ifndef ACTCACHE_UNITS_KEY_PARTS_H_
#define ACTCACHE_UNITS_KEY_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "hash/hasher.h"
#include "units/cut.h"
#include "units/keying.h"
#include "units/parallel.h"
#include "units/tensor_view.h"
#include "units/window.h"

namespace actcache {

// A single part larger than kBigPart is hashed in segments of kSegment, in parallel, and the
// digests stand for it. Sizes are fixed, so that a key does not depend on the number of threads.
inline constexpr std::size_t kBigPart = std::size_t{1024} * 1024;
inline constexpr std::size_t kSegment = std::size_t{256} * 1024;

// What starting and finishing a key takes, in bytes that could be hashed meanwhile.
inline constexpr std::size_t kKeyOverhead = 1024;

// What other keys are made of: in full, as keys made of halves would be no better than a half.
struct WholeKey {
  Key key;
  KeyTail tail;
};

// A hasher that has the format's version, what it is for, and whether calls name their namespace.
Hasher StartKeys(HashKind hash, std::uint64_t purpose, const KeyIdentity& identity);
// Adds whose keys they are, and the live-outs' types and axes.
void AddIdentity(Hasher& hasher, const KeyIdentity& identity, const ElementTypes& output_types,
                 std::initializer_list<const Axes*> output_axes);
// Adds type, rank, axes and dimensions (without those of `axes` that are not -1).
void AddDescription(Hasher& hasher, const TensorView& tensor,
                    std::initializer_list<std::int64_t> axes);

// The inputs of a call as keys see them: unit by unit, each in units of its own
// (UnitPlace::Own()). Refers to what it is given.
class KeyParts {
 public:
  // `segment`: what digests of segments start from. May throw std::bad_alloc.
  KeyParts(const std::vector<TensorView>& inputs, const Cut& cut, const Hasher& segment,
           const Parallel& parallel);

  // Adds the content of the input's own unit `unit`.
  void AddContent(Hasher& hasher, std::size_t input, std::size_t unit) const;
  // What one unit of the input gives a hasher to do; of strings, the average one.
  std::size_t HashedBytes(std::size_t input) const;

 private:
  struct Part {
    const TensorView* tensor;
    Window window;                  // in elements for strings
    std::size_t segments = 0;       // per unit; 0: the bytes go straight into the key
    std::size_t first_segment = 0;  // of unit 0, in the list of all segment digests
  };

  // Hashes the segments of all big parts, in parallel.
  void DigestSegments(const Hasher& segment, const Parallel& parallel);

  SmallVector<Part, 4> parts_;
  std::vector<WholeKey> digests_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_KEY_PARTS_H_
