#include "units/cut.h"

#include <optional>
#include <utility>

namespace actcache {

Cut::Cut(PlanKind kind, const Axes& inputs, const Axes& outputs, LeastUnits least_units)
    : kind_(kind), least_units_(least_units) {
  for (const std::int64_t axis : inputs) inputs_.push_back(UnitAxis(axis));
  for (const std::int64_t axis : outputs) outputs_.push_back(UnitAxis(axis));
}

WholeCut::WholeCut(std::size_t inputs, std::size_t outputs)
    : Cut(PlanKind::kWhole, Axes(inputs, -1), Axes(outputs, -1), {}) {}

Units WholeCut::UnitsOf(const std::vector<TensorView>& /*inputs*/) const {
  return {this, 1, OneUnit::kByCalls};
}

RowCut::RowCut(const Axes& inputs, const Axes& outputs, RowConditions conditions,
               LeastUnits least_rows)
    : Cut(PlanKind::kRow, inputs, outputs, least_rows),
      whole_(inputs.size(), outputs.size()),
      conditions_(std::move(conditions)) {}

Units RowCut::UnitsOf(const std::vector<TensorView>& inputs) const {
  if (!HaveRanks(conditions_.ranks, inputs)) return AsOne(OneUnit::kRank);
  std::optional<std::size_t> rows;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const UnitAxis& axis = input(i);
    if (!axis.divides()) continue;
    if (!axis.IsIn(inputs[i].dims)) return AsOne(OneUnit::kNoAxis);
    if (!HasByteRows(inputs[i].type)) return AsOne(OneUnit::kPartBytes);
    const std::size_t size = axis.UnitsIn(inputs[i].dims);
    // Not batches of equal length: a broadcast batch of 1, say.
    if (rows && *rows != size) return AsOne(OneUnit::kUnequal);
    rows = size;
  }
  if (!rows) return AsOne(OneUnit::kNoAxis);
  if (*rows > kMaxPlanRows) return AsOne(OneUnit::kTooMany);
  if (!Hold(conditions_.sizes, inputs)) return AsOne(OneUnit::kSizes);
  return {this, *rows};
}

}  // namespace actcache
