#include "units/prefix_cut.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "units/binary_masks.h"

namespace actcache {
namespace {

Cut::Places PlacesOf(const Axes& rows, const Axes& positions, std::size_t block,
                     std::size_t ends = 0) {
  Cut::Places places;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool end = i + ends >= rows.size();
    places.push_back(end ? UnitPlace::End(rows[i], positions[i])
                         : UnitPlace(rows[i], positions[i], block));
  }
  return places;
}

// Takes the size of an axis, which has to be the same in all inputs that have it.
OneUnit Agree(const UnitAxis& axis, const TensorView& input, std::optional<std::size_t>* size) {
  if (!axis.divides()) return OneUnit::kNone;
  if (!axis.IsIn(input.dims)) return OneUnit::kNoAxis;
  if (!HasByteRows(input.type)) return OneUnit::kPartBytes;
  const std::size_t own = axis.UnitsIn(input.dims);
  if (*size && **size != own) return OneUnit::kUnequal;
  *size = own;
  return OneUnit::kNone;
}

}  // namespace

PrefixCut::PrefixCut(const PrefixAxes& axes, std::size_t block, std::size_t min_suffix,
                     Conditions conditions)
    : Cut(PlanKind::kPrefix, PlacesOf(axes.input_rows, axes.input_positions, block),
          PlacesOf(axes.output_rows, axes.output_positions, block, axes.ends), {}),
      block_(block),
      min_suffix_(min_suffix),
      ends_handed_on_(axes.ends_handed_on),
      conditions_(std::move(conditions)) {}

Units PrefixCut::UnitsOf(const std::vector<TensorView>& inputs) const {
  if (!HaveRanks(conditions_.ranks, inputs)) return None(OneUnit::kRank);
  std::optional<std::size_t> rows;
  std::optional<std::size_t> positions;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    OneUnit why = Agree(input(i).rows(), inputs[i], &rows);
    if (why == OneUnit::kNone) why = Agree(input(i).positions(), inputs[i], &positions);
    if (why != OneUnit::kNone) return None(why);
  }
  if (!positions) return None(OneUnit::kNoAxis);
  const std::size_t batch = rows.value_or(1);  // without rows, keys cover the batch as a whole
  if (batch != 0 && *positions > kMaxPlanRows / batch) return None(OneUnit::kTooMany);
  if (!Hold(conditions_.sizes, inputs)) return None(OneUnit::kSizes);
  for (const auto& [i, open] : conditions_.masks) {
    const auto axis = static_cast<std::size_t>(input(i).positions().number());
    if (!IsOpenMask(inputs[i], axis, open)) return None(OneUnit::kMask);
  }
  const std::size_t length = *positions / block_;
  if (batch * length == 0) return None(OneUnit::kNone);
  return {this, batch * length, OneUnit::kNone, length, *positions % block_};
}

std::size_t PrefixCut::Used(std::size_t found, const Units& units) const {
  if (found == units.length && units.tail == 0) return found;
  const std::size_t positions = Positions(units.length, units.tail);
  return std::min(found, (positions - std::min(positions, min_suffix_)) / block_);
}

Runs PrefixCut::ToCompute(const Units& units, const UnitNumbers& missing) const {
  const std::size_t found = (units.count - missing.size()) / (units.count / units.length) * block_;
  return {{false, found, Positions(units.length, units.tail) - found}};
}

const char* PrefixCut::Problem(const CallPlan& plan) const {
  return plan.tail < block_ ? nullptr : "more positions are left over than a block has";
}

Splice PrefixCut::SpliceOf(const CallPlan& plan) const {
  const std::size_t rows = plan.rows / plan.length;
  const std::size_t found = plan.cached_rows / rows * block_;
  const std::size_t computed = Positions(plan.length, plan.tail) - found;
  return {rows, found, computed, found + computed, {{true, 0, found}, {false, 0, computed}}};
}

}  // namespace actcache
