// Window and what copies rows, against loops over single bytes.
//
// Input: the rank, a size for each axis, the row axis, the bytes of an element, the row, and where
// the copied range begins and ends.
#include "units/window.h"

#include <numeric>

#include "reader.h"
#include "target.h"

namespace actcache {
namespace {

using Bytes = std::vector<std::byte>;

struct Case {
  Dims dims;
  std::size_t axis;
  std::size_t unit;

  std::size_t rows() const { return static_cast<std::size_t>(dims[axis]); }
};

// The row with its axis left out, byte by byte.
Bytes GatherSlowly(const Bytes& tensor, const Case& given, std::size_t row) {
  std::size_t inner = given.unit;
  for (std::size_t i = given.axis + 1; i < given.dims.size(); ++i) {
    inner *= static_cast<std::size_t>(given.dims[i]);
  }
  Bytes gathered;
  for (std::size_t i = 0; i < tensor.size(); ++i) {
    if (i / inner % given.rows() == row) gathered.push_back(tensor[i]);
  }
  return gathered;
}

Bytes Counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 251);
  return bytes;
}

void CheckPieces(const Bytes& tensor, const Window& window, std::size_t row, const Bytes& range,
                 std::size_t begin) {
  Bytes pieces;
  ForEachPiece(tensor.data(), window, row, begin, begin + range.size(),
               [&](const std::byte* piece, std::size_t size) {
                 ACTCACHE_FUZZ_CHECK(size > 0);
                 pieces.insert(pieces.end(), piece, piece + size);
               });
  ACTCACHE_FUZZ_CHECK(pieces == range);
}

// Out of the tensor into a dense row, from there into a tensor of other bytes with the same window:
// nothing but the range of that row changes.
void CheckCopies(const Bytes& tensor, const Case& given, const Window& window, std::size_t row,
                 std::size_t begin, std::size_t end) {
  Bytes dense(window.unit_bytes(), std::byte{0});
  CopyUnitBytes(ConstUnit{tensor.data(), window, row}, MutableUnit{dense.data(), window.Dense(), 0},
                begin, end);
  Bytes expected(window.unit_bytes(), std::byte{0});
  const Bytes slow = GatherSlowly(tensor, given, row);
  std::copy(slow.data() + begin, slow.data() + end, expected.data() + begin);
  ACTCACHE_FUZZ_CHECK(dense == expected);

  Bytes target(tensor.size(), std::byte{0xee});
  CopyUnitBytes(ConstUnit{dense.data(), window.Dense(), 0}, MutableUnit{target.data(), window, row},
                begin, end);
  for (std::size_t other = 0; other < given.rows(); ++other) {
    Bytes wanted(window.unit_bytes(), std::byte{0xee});
    if (other == row) std::copy(slow.data() + begin, slow.data() + end, wanted.data() + begin);
    ACTCACHE_FUZZ_CHECK(GatherSlowly(target, given, other) == wanted);
  }
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  return {{2, 4, 3, 0, 2, 1, 0, 255},
          {3, 2, 4, 3, 1, 3, 2, 5, 17},
          {4, 2, 2, 3, 2, 2, 0, 1, 3, 9},
          {1, 5, 0, 0, 4, 0, 1},
          {3, 3, 0, 2, 0, 2, 1, 0, 1}};
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  fuzz::Reader reader(data, size);
  Case given;
  const std::size_t rank = 1 + reader.Below(5);
  for (std::size_t i = 0; i < rank; ++i) {
    given.dims.push_back(static_cast<std::int64_t>(reader.Below(7)));
  }
  given.axis = reader.Below(rank);
  given.unit = std::size_t{1} << reader.Below(5);
  if (given.rows() == 0) return 0;
  const std::size_t row = reader.Below(given.rows());

  const Bytes tensor = Counting(ElementCount(given.dims) * given.unit);
  const Window window = Window::Along(given.dims, given.axis, given.unit);
  ACTCACHE_FUZZ_CHECK(window.units == given.rows());
  ACTCACHE_FUZZ_CHECK(window.unit_bytes() * window.units == tensor.size());
  const std::size_t begin = reader.Number<std::uint16_t>() % (window.unit_bytes() + 1);
  const std::size_t length = reader.Number<std::uint16_t>() % (window.unit_bytes() - begin + 1);
  const Bytes row_bytes = GatherSlowly(tensor, given, row);
  const Bytes range(row_bytes.data() + begin, row_bytes.data() + begin + length);
  CheckPieces(tensor, window, row, range, begin);
  CheckCopies(tensor, given, window, row, begin, begin + length);
  return 0;
}
