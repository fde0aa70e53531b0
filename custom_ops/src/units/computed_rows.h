// How many rows a region is run on, where its kernels give few rows other bits than many.
//
// onnxruntime multiplies a single row by another kernel than several, say. With the attribute
// min_rows, a call of fewer rows than that shares no entries with other calls, and no call of more
// is computed with fewer: its missing rows are filled up by repeating the last of them.
#ifndef ACTCACHE_UNITS_COMPUTED_ROWS_H_
#define ACTCACHE_UNITS_COMPUTED_ROWS_H_

#include <algorithm>
#include <cstddef>

namespace actcache {

// Rows to run the region on, in a call of `rows` rows of which `missing` (1 or more) are missing.
inline std::size_t ComputedRows(std::size_t missing, std::size_t rows, std::size_t min_rows) {
  return std::max(missing, std::min(min_rows, rows));
}

// Calls of one class may share entries.
inline std::size_t RowCountClass(std::size_t rows, std::size_t min_rows) {
  return std::min(rows, min_rows);
}

}  // namespace actcache

#endif  // ACTCACHE_UNITS_COMPUTED_ROWS_H_
