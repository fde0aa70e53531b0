// A share of hits is computed all the same, and what comes out is compared with what was kept.
//
// The lookup treats such a row as missing (kVerify), so that the call's results are the computed
// ones; the store operator compares. An entry that differs is removed; the region may be turned
// off.
#ifndef ACTCACHE_UNITS_VERIFICATION_H_
#define ACTCACHE_UNITS_VERIFICATION_H_

#include <cstddef>
#include <vector>

#include "store/entry.h"
#include "units/row_layout.h"
#include "units/tensor_view.h"

namespace actcache {

// How far row `row` of the computed live-outs is from the entry: RowComparison::difference() of
// the live-out that differs most; infinite if a type or a shape differs. `layouts[i]` is where the
// rows of computed[i] lie; `specs[i]` the type and shape of one.
double DifferenceFrom(const Entry& entry, const std::vector<TensorView>& computed,
                      const std::vector<RowLayout>& layouts, const std::vector<TensorSpec>& specs,
                      std::size_t row);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_VERIFICATION_H_
