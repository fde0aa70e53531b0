#include "units/row_keys.h"

#include <algorithm>

#include "units/computed_rows.h"
#include "units/row_layout.h"

namespace actcache {
namespace {

constexpr std::uint64_t kFormatVersion = 3;

// What starting and finishing a key takes, in bytes that could be hashed meanwhile.
constexpr std::size_t kKeyOverhead = 1024;

template <typename T, std::size_t N>
void FrameAll(Hasher& hasher, const SmallVector<T, N>& values) {
  hasher.Frame(values.data(), values.size() * sizeof(T));
}

// An input as the keys see it: the bytes of "row r" of it, which for an input without a row axis is
// the whole tensor for every r.
struct Part {
  const TensorView* tensor;
  bool has_rows;
  RowLayout layout;               // in elements for strings
  std::size_t segments = 0;       // per row; 0: the bytes go straight into the key
  std::size_t first_segment = 0;  // of row 0, in the list of all segment digests

  std::size_t rows() const { return has_rows ? layout.rows : 1; }
};

using Parts = SmallVector<Part, 4>;

Parts MakeParts(const std::vector<TensorView>& inputs, const Axes& axes) {
  Parts parts;
  parts.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& tensor = inputs[i];
    const bool strings = tensor.strings.has_value();
    const std::size_t unit = strings ? 1 : ElementBits(tensor.type) / 8;
    Part part{&tensor, axes[i] >= 0, {}};
    part.layout = part.has_rows
                      ? RowLayout::Of(tensor.dims, static_cast<std::size_t>(axes[i]), unit)
                      : RowLayout::Whole(strings ? tensor.elements : tensor.bytes);
    const std::size_t bytes = part.layout.row_bytes();
    if (!strings && bytes > kBigPart) part.segments = (bytes + kSegment - 1) / kSegment;
    parts.push_back(part);
  }
  return parts;
}

// Hashes the segments of all big parts, in parallel.
std::vector<Key> DigestSegments(const Hasher& base, Parts& parts, const Parallel& parallel) {
  std::size_t count = 0;
  for (Part& part : parts) {
    part.first_segment = count;
    count += part.segments * part.rows();
  }
  std::vector<Key> digests(count);
  parallel.For(count, count * kSegment, [&](std::size_t i) {
    const Part* part = parts.end() - 1;
    while (part->segments == 0 || i < part->first_segment) --part;
    const std::size_t row = (i - part->first_segment) / part->segments;
    const std::size_t begin = (i - part->first_segment) % part->segments * kSegment;
    const std::size_t end = std::min(begin + kSegment, part->layout.row_bytes());
    Hasher hasher = base;
    hasher.FrameHeader(end - begin);
    ForEachPiece(part->tensor->data, part->layout, row, begin, end,
                 [&](const std::byte* piece, std::size_t size) { hasher.Raw(piece, size); });
    digests[i] = hasher.Finish();
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

void AddContent(Hasher& hasher, const Part& part, std::size_t row,
                const std::vector<Key>& digests) {
  const RowLayout& layout = part.layout;
  const std::size_t size = layout.row_bytes();
  if (part.tensor->strings.has_value()) {
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t index = layout.offset(row, i / layout.inner) + i % layout.inner;
      const std::string_view text = part.tensor->strings->at(index);
      hasher.Frame(text.data(), text.size());
    }
    return;
  }
  hasher.FrameHeader(size);
  if (part.segments > 0) {
    // A part that is hashed this way is always larger than kBigPart, so its header, the same size,
    // never stands before plain bytes.
    const Key* first = &digests[part.first_segment + row * part.segments];
    hasher.Raw(first, part.segments * sizeof(Key));
    return;
  }
  ForEachPiece(part.tensor->data, layout, row, 0, size,
               [&](const std::byte* piece, std::size_t n) { hasher.Raw(piece, n); });
}

}  // namespace

KeyBase::KeyBase(HashKind kind, std::string_view fingerprint, std::string_view name_space,
                 bool per_call, const ElementTypes& output_types, const Axes& output_row_axes,
                 std::string_view session)
    : row(kind), whole(kind), segment(kind) {
  const auto start = [&](Hasher& hasher, std::uint64_t purpose) {
    const std::uint64_t words[] = {kFormatVersion, purpose, per_call ? 1U : 0U};
    hasher.Frame(words, sizeof(words));
  };
  start(row, static_cast<std::uint64_t>(PlanKind::kRow));
  start(whole, static_cast<std::uint64_t>(PlanKind::kWhole));
  start(segment, 0x736567);  // "seg": a digest is never mistaken for a key
  for (Hasher* hasher : {&row, &whole}) {
    hasher->Frame(fingerprint.data(), fingerprint.size());
    hasher->Frame(name_space.data(), name_space.size());
    hasher->Frame(session.data(), session.size());
    FrameAll(*hasher, output_types);
    FrameAll(*hasher, output_row_axes);
  }
}

Keys ComputeKeys(const KeyBase& base, PlanKind kind,
                 const std::optional<std::string>& call_namespace,
                 const std::vector<TensorView>& inputs, const Axes& axes, std::size_t rows,
                 const Parallel& parallel, std::size_t min_rows) {
  Parts parts = MakeParts(inputs, axes);
  const std::vector<Key> digests = DigestSegments(base.segment, parts, parallel);

  // What all rows share is hashed once: the descriptions, and the inputs without rows.
  Hasher shared = base.of(kind);
  if (call_namespace) shared.Frame(call_namespace->data(), call_namespace->size());
  if (min_rows > 1) {
    // Shorter than any description, so that a region without classes has other keys.
    const std::uint64_t row_class = RowCountClass(rows, min_rows);
    shared.Frame(&row_class, sizeof(row_class));
  }
  std::size_t row_bytes = 0;
  bool any_rows = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    AddDescription(shared, inputs[i], axes[i]);
    if (!parts[i].has_rows) {
      AddContent(shared, parts[i], 0, digests);
      continue;
    }
    any_rows = true;
    row_bytes += inputs[i].strings
                     ? inputs[i].strings->bytes.size() / std::max<std::size_t>(1, rows)
                     : parts[i].layout.row_bytes();
  }
  Keys keys(rows);
  if (!any_rows) {
    std::fill(keys.begin(), keys.end(), shared.Finish());
    return keys;
  }
  parallel.For(rows, rows * (row_bytes + kKeyOverhead), [&](std::size_t row) {
    Hasher hasher = shared;
    for (const Part& part : parts) {
      if (part.has_rows) AddContent(hasher, part, row, digests);
    }
    keys[row] = hasher.Finish();
  });
  return keys;
}

}  // namespace actcache
