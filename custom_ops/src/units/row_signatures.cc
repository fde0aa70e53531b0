#include "units/row_signatures.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "hash/signature.h"
#include "units/row_layout.h"

namespace actcache {
namespace {

constexpr std::size_t kPieceBytes = kSampledBytes / kSampledPieces;

using Words = SmallVector<std::uint64_t, 16>;

std::uint64_t SignatureOf(const Words& words) {
  return Signature(words.data(), words.size() * sizeof(std::uint64_t));
}

// Layout of an input's part, in elements for strings; without a row axis the whole is every row's.
RowLayout LayoutOf(const TensorView& input, std::int64_t axis) {
  const bool strings = input.strings.has_value();
  if (axis < 0) return RowLayout::Whole(strings ? input.elements : input.bytes);
  const std::size_t unit = strings ? 1 : ElementBits(input.type) / 8;
  return RowLayout::Of(input.dims, static_cast<std::size_t>(axis), unit);
}

std::uint64_t StringsSignature(const TensorView& input, const RowLayout& layout, std::size_t row) {
  const std::size_t count = layout.row_bytes();
  Words words{count};
  const std::size_t step = std::max<std::size_t>(1, count / kSampledPieces);
  for (std::size_t i = 0; i < count; i += step) {
    const std::size_t index = layout.offset(row, i / layout.inner) + i % layout.inner;
    const std::string_view text = input.strings->at(index);
    words.push_back(text.size());
    words.push_back(Signature(text.data(), std::min(text.size(), kSampledBytes)));
  }
  return SignatureOf(words);
}

std::uint64_t BytesSignature(const TensorView& input, const RowLayout& layout, std::size_t row) {
  const std::size_t size = layout.row_bytes();
  if (size <= kSampledBytes && layout.outer == 1) {
    return Signature(input.data + layout.offset(row, 0), size);
  }
  std::array<std::byte, kSampledBytes> sample;
  std::byte* out = sample.data();
  const auto take = [&](std::size_t begin, std::size_t end) {
    if (layout.outer == 1) {
      std::memcpy(out, input.data + layout.offset(row, 0) + begin, end - begin);
      out += end - begin;
      return;
    }
    ForEachPiece(input.data, layout, row, begin, end, [&](const std::byte* piece, std::size_t n) {
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

void Append(Words& words, const TensorView& input, std::int64_t axis, std::size_t row) {
  const RowLayout layout = LayoutOf(input, axis);
  words.push_back(layout.row_bytes());
  words.push_back(input.strings ? StringsSignature(input, layout, row)
                                : BytesSignature(input, layout, row));
}

}  // namespace

std::size_t RowBytes(const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t all = inputs[i].strings ? inputs[i].strings->bytes.size() : inputs[i].bytes;
    bytes += axes[i] < 0 ? all : all / std::max<std::size_t>(1, rows);
  }
  return bytes;
}

std::size_t NoteRows(SignatureFilter& filter, std::uint32_t name_space,
                     const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows) {
  Words words{name_space};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (axes[i] < 0) Append(words, inputs[i], axes[i], 0);
  }
  const std::size_t shared = words.size();
  std::size_t seen = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    words.resize(shared);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (axes[i] >= 0) Append(words, inputs[i], axes[i], row);
    }
    if (filter.Note(SignatureOf(words))) ++seen;
  }
  return seen;
}

}  // namespace actcache
