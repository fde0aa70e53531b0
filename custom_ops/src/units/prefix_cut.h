// The cut of sequences: a unit is a block of positions of one row of the batch.
#ifndef ACTCACHE_UNITS_PREFIX_CUT_H_
#define ACTCACHE_UNITS_PREFIX_CUT_H_

#include <cstddef>
#include <vector>

#include "units/cut.h"

namespace actcache {

// Where a region's batch and its positions lie, per tensor; -1: nowhere.
//
// The last outputs may be ends: what the region's computation ends with, such as the cell state of
// an LSTM. It is known behind the last position of a call only, and so it is kept with that one.
struct PrefixAxes {
  Axes input_rows;
  Axes input_positions;
  Axes output_rows;
  Axes output_positions;
  std::size_t ends = 0;         // so many of the outputs; blocks are single positions then
  bool ends_handed_on = false;  // they are results of a call, too
};

// A call takes the first P positions, all that every row has in the cache, and computes those
// behind them: the suffix, in all rows. A call to which the proof does not apply has no units.
//
// With ends, position P is one whose ends every row has, too (ChainSearch). What has ends goes on
// behind it, the rest of the region from position P on: it is computed for two positions at least.
class PrefixCut final : public Cut {
 public:
  // `block`: positions of a unit, 1 or more. `min_suffix`: the fewest that are computed if any are,
  // as single ones take other kernels. REQUIRES: some input has positions, and all outputs.
  PrefixCut(const PrefixAxes& axes, std::size_t block, std::size_t min_suffix,
            Conditions conditions = {});

  Units UnitsOf(const std::vector<TensorView>& inputs) const override;
  const Cut& whole() const override { return *this; }
  bool chained() const override { return true; }
  bool hands_ends_on() const override { return ends_handed_on_; }
  std::size_t Used(std::size_t found, const Units& units) const override;
  Runs ToCompute(const Units& units, const UnitNumbers& missing) const override;
  const char* Problem(const CallPlan& plan) const override;
  Splice SpliceOf(const CallPlan& plan) const override;
  const char* spliced() const override { return "positions"; }

 private:
  Units None(OneUnit why) const { return {this, 0, why}; }
  // Of the whole call.
  std::size_t Positions(std::size_t length, std::size_t tail) const {
    return length * block_ + tail;
  }

  const std::size_t block_;
  const std::size_t min_suffix_;
  const bool ends_handed_on_;
  const Conditions conditions_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_PREFIX_CUT_H_
