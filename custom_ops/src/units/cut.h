// A cut: how a region's calls are divided into units (an entry holds the results of one), and how
// the results of units are put together again.
//
// A cut says
//   - the units of a call, or why the call is one unit: UnitsOf()
//   - how units lie in each tensor: input(i), output(i); where in memory, UnitPlace::In()
//   - which hits a miss makes unusable: chained(), Used()
//   - what is computed when some units are missing: ToCompute()
//   - how found and computed results are put together: SpliceOf()
// What it does not have to say is which cached values the region itself reads: CacheLookup writes
// what it has found before the region runs, and the branch of the graph reads what it needs. Rows
// and whole calls need none of it; what prefixes need are states (prefix_cut.h).
//
// How the keys of units are made is the keying's matter (keying.h).
#ifndef ACTCACHE_UNITS_CUT_H_
#define ACTCACHE_UNITS_CUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/small_vector.h"
#include "units/binary_masks.h"
#include "units/call_plan.h"
#include "units/size_equations.h"
#include "units/tensor_view.h"
#include "units/unit_place.h"

namespace actcache {

using Axes = SmallVector<std::int64_t, 8>;  // of tensors in order; -1: none

class Cut;

// Why a call is not divided: it is one unit, or has none. The numbers are those that
// actcache_units() gives out.
enum class OneUnit : std::uint8_t {
  kNone = 0,       // it is not
  kByCalls = 1,    // its region is cached by whole calls
  kRank = 2,       // an input has another rank than the proof believes
  kNoAxis = 3,     // an input lacks the axis of its units
  kPartBytes = 4,  // the units of an input are not whole bytes
  kUnequal = 5,    // its inputs are divided into different numbers of units
  kTooMany = 6,    // more units than a plan has numbers for
  kSizes = 7,      // sizes are not as the proof believes
  kMask = 8,       // a mask is not open where the proof takes it to be: MaskCondition
};

// What a call is divided into.
struct Units {
  const Cut* cut;     // the one by which it is divided: the region's own, or by whole calls
  std::size_t count;  // 0: there is nothing to look up
  OneUnit why = OneUnit::kNone;
  std::size_t length = 1;  // units in a row of the batch
  std::size_t tail = 0;    // positions behind them in every row, which are always computed
};

using UnitNumbers = SmallVector<std::uint32_t, 16>;

// Neighbours along the splice axes (UnitPlace::splice()).
struct Run {
  bool found;  // of what was found; else of what is computed
  std::size_t from;
  std::size_t count;
};
using Runs = SmallVector<Run, 4>;

// How the complete live-outs are put together. Sizes are along the splice axes.
struct Splice {
  std::size_t rows;  // of the batch, where that is not the splice axis
  std::size_t found;
  std::size_t computed;
  std::size_t complete;
  Runs runs;  // in the order of the results
};

// onnxruntime multiplies a single unit by another kernel than several, say.
struct LeastUnits {
  // A call of fewer shares no entries with other calls.
  std::size_t alike = 1;
  // No call of more is computed with fewer: its missing units are filled up by repeating the last
  // of them. Less than `alike` where the region itself fills up what depends on it.
  std::size_t computed = 1;
};

// Immutable. Nothing here is virtual more often than once per call.
class Cut {
 public:
  virtual ~Cut() = default;
  Cut(const Cut&) = delete;
  Cut& operator=(const Cut&) = delete;

  // `inputs`: the frontier.
  virtual Units UnitsOf(const std::vector<TensorView>& inputs) const = 0;
  // The cut for calls of this region that are one unit.
  virtual const Cut& whole() const = 0;
  // Whether no unit can be used without those before it in its row. Their keys are chained then.
  virtual bool chained() const { return false; }
  // Of a chained cut with ends: whether a call that is found as a whole hands on those of its last
  // units. It is not found as a whole without them.
  virtual bool hands_ends_on() const { return false; }
  // Of a chained cut: how many units of a row are used, where every row has `found`.
  virtual std::size_t Used(std::size_t found, const Units& /*units*/) const { return found; }
  // What of the inputs the region is run on, along the splice axes; `missing` and what lies behind
  // the units is to be computed.
  virtual Runs ToCompute(const Units& units, const UnitNumbers& missing) const = 0;
  // What is wrong with a plan of this kind that came out of the graph, beside what DecodePlan()
  // sees; null: nothing.
  virtual const char* Problem(const CallPlan& /*plan*/) const { return nullptr; }
  // REQUIRES: a plan of this kind without a problem; something is computed.
  virtual Splice SpliceOf(const CallPlan& plan) const = 0;
  // What lies along the splice axes, for messages.
  virtual const char* spliced() const { return "rows"; }

  // As plans and keys name it.
  PlanKind kind() const { return kind_; }
  const UnitPlace& input(std::size_t i) const { return inputs_[i]; }
  const UnitPlace& output(std::size_t i) const { return outputs_[i]; }
  // The outputs from this one on are ends (UnitPlace::End()); none, if there are no more.
  std::size_t first_end() const { return first_end_; }
  bool has_ends() const { return first_end_ < outputs_.size(); }

  const LeastUnits& least_units() const { return least_units_; }
  // Calls of one class may share entries.
  std::size_t CountClass(std::size_t units) const { return std::min(units, least_units_.alike); }

  using Places = SmallVector<UnitPlace, 8>;

 protected:
  Cut(PlanKind kind, const Places& inputs, const Places& outputs, LeastUnits least_units);

 private:
  const PlanKind kind_;
  const Places inputs_;   // of the frontier
  const Places outputs_;  // of the live-outs
  const std::size_t first_end_;
  const LeastUnits least_units_;
};

// Every call is one unit.
class WholeCut final : public Cut {
 public:
  WholeCut(std::size_t inputs, std::size_t outputs);

  Units UnitsOf(const std::vector<TensorView>& inputs) const override;
  const Cut& whole() const override { return *this; }
  Runs ToCompute(const Units& units, const UnitNumbers& missing) const override;
  Splice SpliceOf(const CallPlan& plan) const override;
};

// An input with positions that is a mask, as IsOpenMask() says.
struct MaskCondition {
  std::size_t input;
  MaskOpen open;
};

// What a proof believes of a call, beside equal numbers of rows and of positions.
struct Conditions {
  std::vector<std::int64_t> ranks = {};  // of the frontier; -1: any. None at all: any
  std::vector<SizeEquation> sizes = {};
  std::vector<MaskCondition> masks = {};
};

// The rows of a batch. A call to which the proof does not apply is one unit.
class RowCut final : public Cut {
 public:
  RowCut(const Axes& inputs, const Axes& outputs, Conditions conditions = {},
         LeastUnits least_rows = {});

  Units UnitsOf(const std::vector<TensorView>& inputs) const override;
  const Cut& whole() const override { return whole_; }
  Runs ToCompute(const Units& units, const UnitNumbers& missing) const override;
  Splice SpliceOf(const CallPlan& plan) const override;

  // Rows to run the region on, in a call of `rows` of which `missing` (1 or more) are missing.
  std::size_t Computed(std::size_t missing, std::size_t rows) const {
    return std::max(missing, std::min(least_units().computed, rows));
  }

 private:
  Units AsOne(OneUnit why) const { return {&whole_, 1, why}; }

  const WholeCut whole_;
  const Conditions conditions_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CUT_H_
