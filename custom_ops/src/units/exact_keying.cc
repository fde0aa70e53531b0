#include "units/exact_keying.h"

#include <algorithm>

#include "units/window.h"

namespace actcache {
namespace {

constexpr std::uint64_t kFormatVersion = 4;

// What starting and finishing a key takes, in bytes that could be hashed meanwhile.
constexpr std::size_t kKeyOverhead = 1024;

template <typename T, std::size_t N>
void FrameAll(Hasher& hasher, const SmallVector<T, N>& values) {
  hasher.Frame(values.data(), values.size() * sizeof(T));
}

// An input as the keys see it: the bytes of "unit u" of it, which for an input that is not divided
// is the whole tensor for every u.
struct Part {
  const TensorView* tensor;
  bool divided;
  Window window;                  // in elements for strings
  std::size_t segments = 0;       // per unit; 0: the bytes go straight into the key
  std::size_t first_segment = 0;  // of unit 0, in the list of all segment digests
};

// Of a segment, in full: keys made of halves would be no better than a half.
struct SegmentDigest {
  Key key;
  KeyTail tail;
};

using Parts = SmallVector<Part, 4>;

Parts MakeParts(const std::vector<TensorView>& inputs, const Cut& cut) {
  Parts parts;
  parts.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Part part{&inputs[i], cut.input(i).divides(), cut.input(i).In(inputs[i])};
    const std::size_t bytes = part.window.unit_bytes();
    if (!inputs[i].strings && bytes > kBigPart) part.segments = (bytes + kSegment - 1) / kSegment;
    parts.push_back(part);
  }
  return parts;
}

// Hashes the segments of all big parts, in parallel.
std::vector<SegmentDigest> DigestSegments(const Hasher& base, Parts& parts,
                                          const Parallel& parallel) {
  std::size_t count = 0;
  for (Part& part : parts) {
    part.first_segment = count;
    count += part.segments * part.window.units;
  }
  std::vector<SegmentDigest> digests(count);
  parallel.For(count, count * kSegment, [&](std::size_t i) {
    const Part* part = parts.end() - 1;
    while (part->segments == 0 || i < part->first_segment) --part;
    const std::size_t unit = (i - part->first_segment) / part->segments;
    const std::size_t begin = (i - part->first_segment) % part->segments * kSegment;
    const std::size_t end = std::min(begin + kSegment, part->window.unit_bytes());
    Hasher hasher = base;
    hasher.FrameHeader(end - begin);
    ForEachPiece(part->tensor->data, part->window, unit, begin, end,
                 [&](const std::byte* piece, std::size_t size) { hasher.Raw(piece, size); });
    digests[i].key = hasher.Finish(&digests[i].tail);
  });
  return digests;
}

void AddDescription(Hasher& hasher, const TensorView& tensor, std::int64_t axis) {
  SmallVector<std::int64_t, 12> words{static_cast<std::int64_t>(tensor.type),
                                      static_cast<std::int64_t>(tensor.dims.size()), axis};
  for (std::size_t i = 0; i < tensor.dims.size(); ++i) {
    if (static_cast<std::int64_t>(i) != axis) words.push_back(tensor.dims[i]);
  }
  FrameAll(hasher, words);
}

void AddContent(Hasher& hasher, const Part& part, std::size_t unit,
                const std::vector<SegmentDigest>& digests) {
  const Window& window = part.window;
  const std::size_t size = window.unit_bytes();
  if (part.tensor->strings.has_value()) {
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t index = window.offset(unit, i / window.chunk) + i % window.chunk;
      const std::string_view text = part.tensor->strings->at(index);
      hasher.Frame(text.data(), text.size());
    }
    return;
  }
  hasher.FrameHeader(size);
  if (part.segments > 0) {
    // A part that is hashed this way is always larger than kBigPart, so its header, the same size,
    // never stands before plain bytes.
    const SegmentDigest* first = &digests[part.first_segment + unit * part.segments];
    hasher.Raw(first, part.segments * sizeof(SegmentDigest));
    return;
  }
  ForEachPiece(part.tensor->data, window, unit, 0, size,
               [&](const std::byte* piece, std::size_t n) { hasher.Raw(piece, n); });
}

// What one unit of the part gives a hasher to do; of strings, the average one.
std::size_t HashedBytes(const Part& part, std::size_t units) {
  const auto& strings = part.tensor->strings;
  return strings ? strings->bytes.size() / std::max<std::size_t>(1, units)
                 : part.window.unit_bytes();
}

}  // namespace

ExactKeying::ExactKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
                         const ElementTypes& output_types)
    : Keying(identity.scope), divided_(hash), whole_(hash), segment_(hash) {
  const auto start = [&](Hasher& hasher, std::uint64_t purpose) {
    const std::uint64_t words[] = {kFormatVersion, purpose, identity.per_call ? 1U : 0U};
    hasher.Frame(words, sizeof(words));
  };
  start(divided_, static_cast<std::uint64_t>(cut.kind()));
  start(whole_, static_cast<std::uint64_t>(PlanKind::kWhole));
  start(segment_, 0x736567);  // "seg": a digest is never mistaken for a key
  Axes axes;
  for (std::size_t i = 0; i < output_types.size(); ++i) axes.push_back(cut.output(i).number());
  for (Hasher* hasher : {&divided_, &whole_}) {
    hasher->Frame(identity.fingerprint.data(), identity.fingerprint.size());
    hasher->Frame(identity.name_space.data(), identity.name_space.size());
    hasher->Frame(identity.session.data(), identity.session.size());
    FrameAll(*hasher, output_types);
    FrameAll(*hasher, axes);
  }
}

Keys ExactKeying::KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
                         const std::vector<TensorView>& inputs, const Parallel& parallel,
                         KeyTails* tails) const {
  const Cut& cut = *units.cut;
  Parts parts = MakeParts(inputs, cut);
  const std::vector<SegmentDigest> digests = DigestSegments(segment_, parts, parallel);

  // What all units share is hashed once: the descriptions, and the inputs that are not divided.
  Hasher shared = cut.kind() == PlanKind::kWhole ? whole_ : divided_;
  if (call_namespace) shared.Frame(call_namespace->data(), call_namespace->size());
  if (cut.least_units().alike > 1) {
    // Shorter than any description, so that a region without classes has other keys.
    const std::uint64_t count_class = cut.CountClass(units.count);
    shared.Frame(&count_class, sizeof(count_class));
  }
  std::size_t unit_bytes = 0;
  bool divided = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    AddDescription(shared, inputs[i], cut.input(i).number());
    if (!parts[i].divided) {
      AddContent(shared, parts[i], 0, digests);
      continue;
    }
    divided = true;
    unit_bytes += HashedBytes(parts[i], units.count);
  }
  Keys keys(units.count);
  if (tails != nullptr) tails->resize(units.count);
  if (!divided) {
    KeyTail tail;
    std::fill(keys.begin(), keys.end(), shared.Finish(&tail));
    if (tails != nullptr) std::fill(tails->begin(), tails->end(), tail);
    return keys;
  }
  parallel.For(units.count, units.count * (unit_bytes + kKeyOverhead), [&](std::size_t unit) {
    Hasher hasher = shared;
    for (const Part& part : parts) {
      if (part.divided) AddContent(hasher, part, unit, digests);
    }
    keys[unit] = tails != nullptr ? hasher.Finish(&(*tails)[unit]) : hasher.Finish();
  });
  return keys;
}

}  // namespace actcache
