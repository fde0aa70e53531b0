#include "units/key_parts.h"

#include <algorithm>

namespace actcache {
namespace {

constexpr std::uint64_t kFormatVersion = 4;

template <typename T, std::size_t N>
void FrameAll(Hasher& hasher, const SmallVector<T, N>& values) {
  hasher.Frame(values.data(), values.size() * sizeof(T));
}

}  // namespace

Hasher StartKeys(HashKind hash, std::uint64_t purpose, const KeyIdentity& identity) {
  Hasher hasher(hash);
  const std::uint64_t words[] = {kFormatVersion, purpose, identity.per_call ? 1U : 0U};
  hasher.Frame(words, sizeof(words));
  return hasher;
}

void AddIdentity(Hasher& hasher, const KeyIdentity& identity, const ElementTypes& output_types,
                 std::initializer_list<const Axes*> output_axes) {
  hasher.Frame(identity.fingerprint.data(), identity.fingerprint.size());
  hasher.Frame(identity.name_space.data(), identity.name_space.size());
  hasher.Frame(identity.session.data(), identity.session.size());
  FrameAll(hasher, output_types);
  for (const Axes* axes : output_axes) FrameAll(hasher, *axes);
}

void AddDescription(Hasher& hasher, const TensorView& tensor,
                    std::initializer_list<std::int64_t> axes) {
  SmallVector<std::int64_t, 12> words{static_cast<std::int64_t>(tensor.type),
                                      static_cast<std::int64_t>(tensor.dims.size())};
  for (const std::int64_t axis : axes) words.push_back(axis);
  for (std::size_t i = 0; i < tensor.dims.size(); ++i) {
    const auto axis = static_cast<std::int64_t>(i);
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) words.push_back(tensor.dims[i]);
  }
  FrameAll(hasher, words);
}

KeyParts::KeyParts(const std::vector<TensorView>& inputs, const Cut& cut, const Hasher& segment,
                   const Parallel& parallel) {
  parts_.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Part part{&inputs[i], cut.input(i).In(inputs[i])};
    const std::size_t bytes = part.window.unit_bytes();
    if (!inputs[i].strings && bytes > kBigPart) part.segments = (bytes + kSegment - 1) / kSegment;
    parts_.push_back(part);
  }
  DigestSegments(segment, parallel);
}

void KeyParts::DigestSegments(const Hasher& segment, const Parallel& parallel) {
  std::size_t count = 0;
  for (Part& part : parts_) {
    part.first_segment = count;
    count += part.segments * part.window.units;
  }
  digests_.resize(count);
  parallel.For(count, count * kSegment, [&](std::size_t i) {
    const Part* part = parts_.end() - 1;
    while (part->segments == 0 || i < part->first_segment) --part;
    const std::size_t unit = (i - part->first_segment) / part->segments;
    const std::size_t begin = (i - part->first_segment) % part->segments * kSegment;
    const std::size_t end = std::min(begin + kSegment, part->window.unit_bytes());
    Hasher hasher = segment;
    hasher.FrameHeader(end - begin);
    ForEachPiece(part->tensor->data, part->window, unit, begin, end,
                 [&](const std::byte* piece, std::size_t size) { hasher.Raw(piece, size); });
    digests_[i].key = hasher.Finish(&digests_[i].tail);
  });
}

void KeyParts::AddContent(Hasher& hasher, std::size_t input, std::size_t unit) const {
  const Part& part = parts_[input];
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
    const WholeKey* first = &digests_[part.first_segment + unit * part.segments];
    hasher.Raw(first, part.segments * sizeof(WholeKey));
    return;
  }
  ForEachPiece(part.tensor->data, window, unit, 0, size,
               [&](const std::byte* piece, std::size_t n) { hasher.Raw(piece, n); });
}

std::size_t KeyParts::HashedBytes(std::size_t input) const {
  const Part& part = parts_[input];
  const auto& strings = part.tensor->strings;
  return strings ? strings->bytes.size() / std::max<std::size_t>(1, part.window.units)
                 : part.window.unit_bytes();
}

}  // namespace actcache
