// A cut: how a region's calls are divided into units (an entry holds the results of one), and how
// the results of units are put together again.
//
// A cut says
//   - the units of a call, or why the call is one unit: UnitsOf()
//   - how units lie in each tensor: input(i), output(i); where in memory, UnitAxis::In()
//   - which hits a miss makes unusable: miss_ends_hits()
//   - how many units are computed when some are missing: Computed()
// What it does not have to say is which cached values the region itself reads: CacheLookup writes
// what it has found before the region runs, and the branch of the graph reads what it needs. Rows
// and whole calls need none of it.
//
// How the keys of units are made is the keying's matter (keying.h).
#ifndef ACTCACHE_UNITS_CUT_H_
#define ACTCACHE_UNITS_CUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/small_vector.h"
#include "units/call_plan.h"
#include "units/size_equations.h"
#include "units/tensor_view.h"
#include "units/unit_axis.h"

namespace actcache {

using Axes = SmallVector<std::int64_t, 8>;  // of tensors in order; -1: none

class Cut;

// Why a call is one unit. The numbers are those that actcache_units() gives out.
enum class OneUnit : std::uint8_t {
  kNone = 0,       // it is not
  kByCalls = 1,    // its region is cached by whole calls
  kRank = 2,       // an input has another rank than the proof of the rows believes
  kNoAxis = 3,     // an input lacks the axis of its units
  kPartBytes = 4,  // the units of an input are not whole bytes
  kUnequal = 5,    // its inputs are divided into different numbers of units
  kTooMany = 6,    // more units than a plan has numbers for
  kSizes = 7,      // sizes are not as the proof of the rows believes
};

// What a call is divided into.
struct Units {
  const Cut* cut;     // the one by which it is divided: the region's own, or by whole calls
  std::size_t count;  // 0: there is nothing to look up
  OneUnit why = OneUnit::kNone;
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
  // Whether what follows a missing unit cannot be used without it.
  virtual bool miss_ends_hits() const { return false; }

  // As plans and keys name it.
  PlanKind kind() const { return kind_; }
  const UnitAxis& input(std::size_t i) const { return inputs_[i]; }
  const UnitAxis& output(std::size_t i) const { return outputs_[i]; }

  const LeastUnits& least_units() const { return least_units_; }
  // Units to run the region on, in a call of `units` of which `missing` (1 or more) are missing.
  std::size_t Computed(std::size_t missing, std::size_t units) const {
    return std::max(missing, std::min(least_units_.computed, units));
  }
  // Calls of one class may share entries.
  std::size_t CountClass(std::size_t units) const { return std::min(units, least_units_.alike); }

 protected:
  Cut(PlanKind kind, const Axes& inputs, const Axes& outputs, LeastUnits least_units);

 private:
  using UnitAxes = SmallVector<UnitAxis, 8>;

  const PlanKind kind_;
  UnitAxes inputs_;   // of the frontier
  UnitAxes outputs_;  // of the live-outs
  const LeastUnits least_units_;
};

// Every call is one unit.
class WholeCut final : public Cut {
 public:
  WholeCut(std::size_t inputs, std::size_t outputs);

  Units UnitsOf(const std::vector<TensorView>& inputs) const override;
  const Cut& whole() const override { return *this; }
};

// What the proof that rows are independent believes of a call, beside equal numbers of rows.
struct RowConditions {
  std::vector<std::int64_t> ranks = {};  // of the frontier; -1: any. None at all: any
  std::vector<SizeEquation> sizes = {};
};

// The rows of a batch. A call to which the proof does not apply is one unit.
class RowCut final : public Cut {
 public:
  RowCut(const Axes& inputs, const Axes& outputs, RowConditions conditions = {},
         LeastUnits least_rows = {});

  Units UnitsOf(const std::vector<TensorView>& inputs) const override;
  const Cut& whole() const override { return whole_; }

 private:
  Units AsOne(OneUnit why) const { return {&whole_, 1, why}; }

  const WholeCut whole_;
  const RowConditions conditions_;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CUT_H_
