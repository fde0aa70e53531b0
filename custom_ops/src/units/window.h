// Where the units of a tensor lie in memory, and how they are copied.
//
// A tensor [d0, .., dk-1, N, dk+1, ..] whose units follow each other along axis k is `chunks` =
// d0*..*dk-1 blocks; in each block a unit has one chunk of consecutive bytes. Gathered, the chunks
// are the unit's tensor, dense. For axis 0 a unit is one chunk.
//
// Where units are cut along two axes, the rows of a batch and positions in a row, both the units
// and the chunks of one may lie on two levels: they follow each other in steps, and every so many
// of them something else is left out (Jumps).
#ifndef ACTCACHE_UNITS_WINDOW_H_
#define ACTCACHE_UNITS_WINDOW_H_

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/streamed_copy.h"
#include "units/parallel.h"
#include "units/tensor_view.h"

namespace actcache {

// What is left out besides after every `every` steps; 0: nothing. Modulo 2^64, as rows may lie
// closer together than the positions of one.
struct Jumps {
  std::size_t every = 0;
  std::size_t size = 0;

  std::size_t Until(std::size_t steps) const { return every == 0 ? 0 : steps / every * size; }
};

// All sizes are in bytes; of a string tensor, in elements.
struct Window {
  std::size_t units = 1;
  std::size_t chunks = 1;      // of one unit
  std::size_t chunk = 0;       // size of one
  std::size_t chunk_step = 0;  // from a unit's chunk to its next
  std::size_t unit_step = 0;   // from a unit to the next; less than `chunk` where units overlap
  Jumps unit_jumps = {};
  Jumps chunk_jumps = {};

  std::size_t unit_bytes() const { return chunks * chunk; }
  std::size_t offset(std::size_t unit, std::size_t number) const {
    return number * chunk_step + chunk_jumps.Until(number) + unit * unit_step +
           unit_jumps.Until(unit);
  }

  // A gathered unit on its own, as entries hold it.
  Window Dense() const { return Whole(unit_bytes()); }

  // Units of `extent` positions on an axis; what is left over at its end is no unit's. REQUIRES:
  // 0 <= axis < dims.size(), extent > 0. `element` is the size of an element.
  static Window Along(const Dims& dims, std::size_t axis, std::size_t element,
                      std::size_t extent = 1) {
    const auto size = static_cast<std::size_t>(dims[axis]);
    Window window;
    for (std::size_t i = 0; i < axis; ++i) window.chunks *= static_cast<std::size_t>(dims[i]);
    for (std::size_t i = axis + 1; i < dims.size(); ++i) {
      element *= static_cast<std::size_t>(dims[i]);
    }
    window.units = size / extent;
    window.chunk = window.unit_step = extent * element;
    window.chunk_step = size * element;
    return window;
  }
  // Units of `extent` positions of one row each: all of a row, then those of the next. REQUIRES, in
  // addition: another `row_axis` of the same tensor.
  static Window InRows(const Dims& dims, std::size_t row_axis, std::size_t axis,
                       std::size_t element, std::size_t extent);
  // The whole tensor as the only unit.
  static Window Whole(std::size_t bytes) { return Window{1, 1, bytes, bytes, bytes}; }

  // Units that follow each other without a gap, `count` of them, as one. REQUIRES: Along() with an
  // extent of 1, or Whole().
  Window Run(std::size_t count) const {
    return Window{1, chunks, count * chunk, chunk_step, unit_step};
  }
};

// Calls visit(pointer, size) for the pieces that make up bytes [begin, end) of a gathered unit.
template <typename Visit>
void ForEachPiece(const std::byte* tensor, const Window& window, std::size_t unit,
                  std::size_t begin, std::size_t end, const Visit& visit) {
  if (begin >= end) return;  // also keeps chunk == 0 away from the division
  for (std::size_t number = begin / window.chunk; begin < end; ++number) {
    const std::size_t within = begin - number * window.chunk;
    const std::size_t size = std::min(end - begin, window.chunk - within);
    visit(tensor + window.offset(unit, number) + within, size);
    begin += size;
  }
}

// One side of a unit's copy.
struct ConstUnit {
  const std::byte* tensor;
  Window window;
  std::size_t unit;
};
struct MutableUnit {
  std::byte* tensor;
  Window window;
  std::size_t unit;
};

// Copies bytes [begin, end) of a gathered unit. REQUIRES: the units are of equal size, and their
// chunks are equal or one side has a single one (an entry is dense, a tensor may not be).
// `streamed`: as a part of a copy of kStreamedBytes or more.
inline void CopyUnitBytes(const ConstUnit& from, const MutableUnit& to, std::size_t begin,
                          std::size_t end, bool streamed = false) {
  if (begin >= end) return;
  const std::size_t chunk = std::min(from.window.chunk, to.window.chunk);
  const auto step = [chunk](const Window& window) {
    return window.chunks > 1 ? window.chunk_step : chunk;
  };
  const std::size_t from_step = step(from.window);
  const std::size_t to_step = step(to.window);
  const Jumps from_jumps = from.window.chunk_jumps;
  const Jumps to_jumps = to.window.chunk_jumps;
  const std::byte* source = from.tensor + from.window.offset(from.unit, 0);
  std::byte* target = to.tensor + to.window.offset(to.unit, 0);
  for (std::size_t i = begin / chunk; begin < end; ++i) {
    const std::size_t within = begin - i * chunk;
    const std::size_t size = std::min(end - begin, chunk - within);
    std::byte* const written = target + (i * to_step + to_jumps.Until(i)) + within;
    const std::byte* const read = source + (i * from_step + from_jumps.Until(i)) + within;
    if (streamed) {
      StreamedCopy(written, read, size);
    } else {
      std::memcpy(written, read, size);
    }
    begin += size;
  }
}

// Copies `count` units, `bytes` in all and of the largest `most`: unit i from from(i) to to(i).
// Long units are cut, so that one big unit is copied by several threads too.
template <typename From, typename To>
void CopyUnits(const Parallel& parallel, std::size_t count, std::size_t bytes, std::size_t most,
               const From& from, const To& to) {
  constexpr std::size_t kCut = std::size_t{256} * 1024;
  // kParallelBytes is about hashing, which takes several times as long as a copy.
  constexpr std::size_t kParallelCopyBytes = 8 * kParallelBytes;
  if (bytes < kParallelCopyBytes) {
    for (std::size_t i = 0; i < count; ++i) {
      const ConstUnit unit = from(i);
      CopyUnitBytes(unit, to(i), 0, unit.window.unit_bytes());
    }
    return;
  }
  const std::size_t cuts = std::max<std::size_t>(1, most / kCut);
  const bool streamed = bytes >= kStreamedBytes;
  parallel.For(count * cuts, bytes, [&](std::size_t task) {
    const ConstUnit unit = from(task / cuts);
    const std::size_t cut = task % cuts;
    // Written this way round, no product exceeds the unit's bytes.
    const std::size_t step = unit.window.unit_bytes() / cuts;
    const std::size_t end = cut + 1 == cuts ? unit.window.unit_bytes() : (cut + 1) * step;
    CopyUnitBytes(unit, to(task / cuts), cut * step, end, streamed);
  });
}

// Likewise, of units of `unit_bytes` each.
template <typename From, typename To>
void CopyUnits(const Parallel& parallel, std::size_t count, std::size_t unit_bytes,
               const From& from, const To& to) {
  CopyUnits(parallel, count, count * unit_bytes, unit_bytes, from, to);
}

// The only unit of a tensor, from one place to another.
inline void CopyAll(const Parallel& parallel, const std::byte* from, std::byte* to,
                    std::size_t bytes) {
  const Window window = Window::Whole(bytes);
  CopyUnits(
      parallel, 1, bytes, [&](std::size_t) { return ConstUnit{from, window, 0}; },
      [&](std::size_t) { return MutableUnit{to, window, 0}; });
}

}  // namespace actcache

#endif  // ACTCACHE_UNITS_WINDOW_H_
