// Where the rows of a batched tensor lie in memory, and how they are copied.
//
// A tensor [d0, .., dk-1, N, dk+1, ..] with row axis k is `outer` = d0*..*dk-1 blocks of N rows; in
// each block a row has one chunk of `inner` bytes. Row r is the chunks r, N + r, 2N + r, ...;
// gathered, they are the row's tensor without the axis, dense. For axis 0 a row is one chunk.
#ifndef ACTCACHE_UNITS_ROW_LAYOUT_H_
#define ACTCACHE_UNITS_ROW_LAYOUT_H_

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "units/parallel.h"
#include "units/tensor_view.h"

namespace actcache {

struct RowLayout {
  std::size_t outer = 1;  // chunks per row
  std::size_t rows = 1;
  std::size_t inner = 0;  // bytes per chunk; elements for strings

  std::size_t row_bytes() const { return outer * inner; }
  std::size_t offset(std::size_t row, std::size_t chunk) const {
    return (chunk * rows + row) * inner;
  }

  // A gathered row on its own, as entries hold it.
  RowLayout Dense() const { return RowLayout{1, 1, row_bytes()}; }

  // REQUIRES: 0 <= axis < dims.size(). `unit` is the bytes of an element (1 for strings).
  static RowLayout Of(const Dims& dims, std::size_t axis, std::size_t unit) {
    RowLayout layout{1, static_cast<std::size_t>(dims[axis]), unit};
    for (std::size_t i = 0; i < axis; ++i) layout.outer *= static_cast<std::size_t>(dims[i]);
    for (std::size_t i = axis + 1; i < dims.size(); ++i) {
      layout.inner *= static_cast<std::size_t>(dims[i]);
    }
    return layout;
  }
  // The whole tensor as the one row of a batch of one.
  static RowLayout Whole(std::size_t bytes) { return RowLayout{1, 1, bytes}; }
};

// Calls visit(pointer, size) for the pieces that make up bytes [begin, end) of a gathered row.
template <typename Visit>
void ForEachPiece(const std::byte* tensor, const RowLayout& layout, std::size_t row,
                  std::size_t begin, std::size_t end, const Visit& visit) {
  if (begin >= end) return;  // also keeps inner == 0 away from the division
  for (std::size_t chunk = begin / layout.inner; begin < end; ++chunk) {
    const std::size_t within = begin - chunk * layout.inner;
    const std::size_t size = std::min(end - begin, layout.inner - within);
    visit(tensor + layout.offset(row, chunk) + within, size);
    begin += size;
  }
}

// One side of a row copy.
struct ConstRow {
  const std::byte* tensor;
  RowLayout layout;
  std::size_t row;
};
struct MutableRow {
  std::byte* tensor;
  RowLayout layout;
  std::size_t row;
};

// Copies bytes [begin, end) of a gathered row. REQUIRES: the rows are of equal size, and their
// chunks are equal or one side has a single one (an entry is dense, a tensor may not be).
inline void CopyRowBytes(const ConstRow& from, const MutableRow& to, std::size_t begin,
                         std::size_t end) {
  if (begin >= end) return;
  const std::size_t chunk = std::min(from.layout.inner, to.layout.inner);
  const auto stride = [chunk](const RowLayout& layout) {
    return layout.outer > 1 ? layout.rows * layout.inner : chunk;
  };
  const std::size_t from_stride = stride(from.layout);
  const std::size_t to_stride = stride(to.layout);
  const std::byte* source = from.tensor + from.layout.offset(from.row, 0);
  std::byte* target = to.tensor + to.layout.offset(to.row, 0);
  for (std::size_t i = begin / chunk; begin < end; ++i) {
    const std::size_t within = begin - i * chunk;
    const std::size_t size = std::min(end - begin, chunk - within);
    std::memcpy(target + i * to_stride + within, source + i * from_stride + within, size);
    begin += size;
  }
}

// Copies `count` rows of `row_bytes` each: row i from from(i) to to(i). Long rows are cut, so that
// one big row is copied by several threads too.
template <typename From, typename To>
void CopyRows(const Parallel& parallel, std::size_t count, std::size_t row_bytes, const From& from,
              const To& to) {
  constexpr std::size_t kCut = std::size_t{256} * 1024;
  // kParallelBytes is about hashing, which takes several times as long as a copy.
  constexpr std::size_t kParallelCopyBytes = 8 * kParallelBytes;
  if (count * row_bytes < kParallelCopyBytes) {
    for (std::size_t row = 0; row < count; ++row) CopyRowBytes(from(row), to(row), 0, row_bytes);
    return;
  }
  const std::size_t cuts = std::max<std::size_t>(1, row_bytes / kCut);
  parallel.For(count * cuts, count * row_bytes, [&](std::size_t task) {
    const std::size_t row = task / cuts;
    const std::size_t cut = task % cuts;
    // Written this way round, no product exceeds row_bytes.
    const std::size_t step = row_bytes / cuts;
    const std::size_t end = cut + 1 == cuts ? row_bytes : (cut + 1) * step;
    CopyRowBytes(from(row), to(row), cut * step, end);
  });
}

}  // namespace actcache

#endif  // ACTCACHE_UNITS_ROW_LAYOUT_H_
