#include "units/cut.h"

#include <optional>
#include <utility>

namespace actcache {
namespace {

Cut::Places RowPlaces(const Axes& axes) {
  Cut::Places places;
  for (const std::int64_t axis : axes) places.push_back(UnitPlace(axis));
  return places;
}

// Adds one that may go on where the last run ended.
void Add(Runs& runs, bool found, std::size_t index) {
  if (!runs.empty()) {
    Run& last = runs[runs.size() - 1];
    if (last.found == found && last.from + last.count == index) {
      ++last.count;
      return;
    }
  }
  runs.push_back({found, index, 1});
}

std::size_t FirstEnd(const Cut::Places& outputs) {
  std::size_t first = 0;
  while (first < outputs.size() && !outputs[first].end()) ++first;
  return first;
}

}  // namespace

Cut::Cut(PlanKind kind, const Places& inputs, const Places& outputs, LeastUnits least_units)
    : kind_(kind),
      inputs_(inputs),
      outputs_(outputs),
      first_end_(FirstEnd(outputs)),
      least_units_(least_units) {}

WholeCut::WholeCut(std::size_t inputs, std::size_t outputs)
    : Cut(PlanKind::kWhole, Places(inputs), Places(outputs), {}) {}

Runs WholeCut::ToCompute(const Units& /*units*/, const UnitNumbers& /*missing*/) const {
  return {{false, 0, 1}};
}

Splice WholeCut::SpliceOf(const CallPlan& /*plan*/) const { return {1, 0, 1, 1, {{false, 0, 1}}}; }

Units WholeCut::UnitsOf(const std::vector<TensorView>& /*inputs*/) const {
  return {this, 1, OneUnit::kByCalls};
}

RowCut::RowCut(const Axes& inputs, const Axes& outputs, Conditions conditions,
               LeastUnits least_rows)
    : Cut(PlanKind::kRow, RowPlaces(inputs), RowPlaces(outputs), least_rows),
      whole_(inputs.size(), outputs.size()),
      conditions_(std::move(conditions)) {}

Units RowCut::UnitsOf(const std::vector<TensorView>& inputs) const {
  if (!HaveRanks(conditions_.ranks, inputs)) return AsOne(OneUnit::kRank);
  std::optional<std::size_t> rows;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const UnitAxis& axis = input(i).rows();
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

Runs RowCut::ToCompute(const Units& units, const UnitNumbers& missing) const {
  Runs runs;
  for (const std::uint32_t row : missing) Add(runs, false, row);
  const std::size_t computed = Computed(missing.size(), units.count);
  // Filled up by repeating the last.
  for (std::size_t i = missing.size(); i < computed; ++i) {
    runs.push_back({false, missing[missing.size() - 1], 1});
  }
  return runs;
}

Splice RowCut::SpliceOf(const CallPlan& plan) const {
  Splice splice{plan.rows, plan.cached_rows, Computed(plan.missing, plan.rows), plan.rows, {}};
  for (std::uint32_t row = 0; row < plan.rows; ++row) {
    const RowSource source = plan.sources[row];
    Add(splice.runs, source.cached(), source.index());
  }
  return splice;
}

}  // namespace actcache
