#include "units/unit_signatures.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "hash/signature.h"
#include "units/window.h"

namespace actcache {
namespace {

constexpr std::size_t kPieceBytes = kSampledBytes / kSampledPieces;

using Words = SmallVector<std::uint64_t, 16>;

std::uint64_t SignatureOf(const Words& words) {
  return Signature(words.data(), words.size() * sizeof(std::uint64_t));
}

std::uint64_t StringsSignature(const TensorView& input, const Window& window, std::size_t unit) {
  const std::size_t count = window.unit_bytes();
  Words words{count};
  const std::size_t step = std::max<std::size_t>(1, count / kSampledPieces);
  for (std::size_t i = 0; i < count; i += step) {
    const std::size_t index = window.offset(unit, i / window.chunk) + i % window.chunk;
    const std::string_view text = input.strings->at(index);
    words.push_back(text.size());
    words.push_back(Signature(text.data(), std::min(text.size(), kSampledBytes)));
  }
  return SignatureOf(words);
}

std::uint64_t BytesSignature(const TensorView& input, const Window& window, std::size_t unit) {
  const std::size_t size = window.unit_bytes();
  if (size <= kSampledBytes && window.chunks == 1) {
    return Signature(input.data + window.offset(unit, 0), size);
  }
  std::array<std::byte, kSampledBytes> sample;
  std::byte* out = sample.data();
  const auto take = [&](std::size_t begin, std::size_t end) {
    if (window.chunks == 1) {
      std::memcpy(out, input.data + window.offset(unit, 0) + begin, end - begin);
      out += end - begin;
      return;
    }
    ForEachPiece(input.data, window, unit, begin, end, [&](const std::byte* piece, std::size_t n) {
      std::memcpy(out, piece, n);
      out += n;
    });
  };
  if (size <= kSampledBytes) {
    take(0, size);
  } else {
    for (std::size_t i = 0; i < kSampledPieces; ++i) {
      const std::size_t begin = (size - kPieceBytes) / (kSampledPieces - 1) * i;
      const bool last = i + 1 == kSampledPieces;
      take(last ? size - kPieceBytes : begin, last ? size : begin + kPieceBytes);
    }
  }
  return Signature(sample.data(), static_cast<std::size_t>(out - sample.data()));
}

void Append(Words& words, const TensorView& input, const UnitPlace& place, std::size_t unit) {
  const Window window = place.In(input);  // in elements for strings
  words.push_back(window.unit_bytes());
  words.push_back(input.strings ? StringsSignature(input, window, unit)
                                : BytesSignature(input, window, unit));
}

}  // namespace

std::size_t UnitBytes(const Units& units, const std::vector<TensorView>& inputs) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t all = inputs[i].strings ? inputs[i].strings->bytes.size() : inputs[i].bytes;
    const std::size_t last = units.count - std::min<std::size_t>(units.count, 1);
    bytes += all / (units.cut->input(i).Own(last, units.length) + 1);
  }
  return bytes;
}

std::size_t NoteUnits(SignatureFilter& filter, std::uint32_t name_space, const Units& units,
                      const std::vector<TensorView>& inputs) {
  const Cut& cut = *units.cut;
  Words words{name_space};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!cut.input(i).divides()) Append(words, inputs[i], cut.input(i), 0);
  }
  const std::size_t shared = words.size();
  std::size_t seen = 0;
  std::uint64_t before = 0;
  for (std::size_t unit = 0; unit < units.count; ++unit) {
    words.resize(shared);
    if (unit % units.length != 0) words.push_back(before);  // what follows something else is new
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const UnitPlace& place = cut.input(i);
      if (place.divides()) Append(words, inputs[i], place, place.Own(unit, units.length));
    }
    before = SignatureOf(words);
    if (filter.Note(before)) ++seen;
  }
  return seen;
}

}  // namespace actcache
