#include "ops/prefix_attributes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "units/prefix_cut.h"

namespace actcache {
namespace {

// Beyond any tensor's.
constexpr std::int64_t kMostAxes = 64;

std::size_t ReadCount(const AttributeReader& reader, const RegionAttributes& attributes,
                      const char* name, std::int64_t absent, std::int64_t least) {
  const std::int64_t count = reader.IntOr(name, absent);
  if (count < least || count > static_cast<std::int64_t>(kMaxPlanRows)) {
    RefuseAttributes(attributes, std::string(name) + " is " + std::to_string(count) +
                                     ", but has to be " + std::to_string(least) + " or more");
  }
  return static_cast<std::size_t>(count);
}

bool Any(const Axes& axes) {
  return std::any_of(axes.begin(), axes.end(), [](std::int64_t axis) { return axis >= 0; });
}

void CheckPositions(const RegionAttributes& attributes, const std::string& what, const Axes& rows,
                    const Axes& positions) {
  if (positions.size() != rows.size()) {
    RefuseAttributes(attributes,
                     what + "_position_axes and " + what + "_row_axes have different lengths");
  }
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] < -1)
      RefuseAttributes(attributes, what + "_position_axes has an axis below -1");
    if (positions[i] >= 0 && positions[i] == rows[i]) {
      RefuseAttributes(attributes,
                       what + " " + std::to_string(i) + " has rows and positions on one axis");
    }
  }
}

// One tensor's after the other's.
void ReadSizes(const std::vector<std::int64_t>& flat, RegionAttributes& attributes) {
  PrefixAttributes& prefix = attributes.prefix;
  if (flat.empty()) return;
  auto next = flat.begin();
  for (const std::size_t rank : prefix.output_ranks) {
    if (static_cast<std::size_t>(flat.end() - next) < rank) break;
    Dims sizes(rank);
    std::copy(next, next + static_cast<std::ptrdiff_t>(rank), sizes.begin());
    next += static_cast<std::ptrdiff_t>(rank);
    prefix.output_sizes.push_back(std::move(sizes));
  }
  if (next != flat.end() || prefix.output_sizes.size() != prefix.output_ranks.size()) {
    RefuseAttributes(attributes, "output_sizes has not as many sizes as output_ranks has axes");
  }
}

}  // namespace

void ReadPrefix(const AttributeReader& reader, RegionAttributes& attributes) {
  PrefixAttributes& prefix = attributes.prefix;
  prefix.output_positions = ToAxes(reader.Ints("output_position_axes"));
  prefix.block = ReadCount(reader, attributes, "block", 1, 1);
  prefix.states = ReadCount(reader, attributes, "states", 0, 0);
  prefix.ends = ReadCount(reader, attributes, "ends", 0, 0);
}

void ReadPrefixLookup(const AttributeReader& reader, RegionAttributes& attributes) {
  PrefixAttributes& prefix = attributes.prefix;
  prefix.input_positions = ToAxes(reader.Ints("input_position_axes"));
  prefix.min_suffix = ReadCount(reader, attributes, "min_suffix", 2, 1);
  for (const std::int64_t rank : reader.Ints("output_ranks")) {
    if (rank < 1 || rank > kMostAxes) {
      RefuseAttributes(attributes, "output_ranks has a rank of " + std::to_string(rank));
    }
    prefix.output_ranks.push_back(static_cast<std::size_t>(rank));
  }
  ReadSizes(reader.IntsOrNone("output_sizes"), attributes);
  prefix.ends_handed_on = reader.IntOr("ends_handed_on", 0) != 0;
  for (const std::int64_t number : reader.IntsOrNone("binary_inputs")) {
    // -1 - i: input i, open everywhere. (A library that does not know that refuses the model.)
    const auto input = static_cast<std::size_t>(number < 0 ? -(number + 1) : number);
    if (input >= prefix.input_positions.size() || prefix.input_positions[input] < 0) {
      RefuseAttributes(attributes, "binary_inputs names an input that has no position axis");
    }
    prefix.masks.push_back({input, number < 0 ? MaskOpen::kAll : MaskOpen::kFirst});
  }
}

void CheckPrefix(const RegionAttributes& attributes) {
  const PrefixAttributes& prefix = attributes.prefix;
  CheckPositions(attributes, "output", attributes.output_row_axes, prefix.output_positions);
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    if (prefix.output_positions[i] < 0) {
      RefuseAttributes(attributes,
                       "every live-out and state needs a position axis for granularity \"prefix\"");
    }
    if ((attributes.output_row_axes[i] < 0) == Any(attributes.output_row_axes)) {
      RefuseAttributes(attributes, "some live-outs and states have a row axis, and others none");
    }
  }
  if (prefix.states >= attributes.live_outs()) {
    RefuseAttributes(attributes, "states leaves no live-out that the rest of the model reads");
  }
  if (prefix.ends > prefix.states || (prefix.ends > 0 && prefix.block != 1)) {
    RefuseAttributes(attributes, "ends have to be states of blocks of one position");
  }
  if (attributes.least_rows.alike != 1 || attributes.least_rows.computed != 1) {
    RefuseAttributes(attributes,
                     "min_rows and min_computed_rows have no meaning for granularity \"prefix\"");
  }
}

void CheckPrefixLookup(const RegionAttributes& attributes) {
  const PrefixAttributes& prefix = attributes.prefix;
  CheckPositions(attributes, "input", attributes.input_row_axes, prefix.input_positions);
  if (!Any(prefix.input_positions)) {
    RefuseAttributes(attributes, "some input needs a position axis for granularity \"prefix\"");
  }
  if (Any(attributes.input_row_axes) != Any(attributes.output_row_axes)) {
    RefuseAttributes(attributes, "live-outs have a row axis if and only if some input has one");
  }
  if (prefix.output_ranks.size() != attributes.live_outs()) {
    RefuseAttributes(attributes, "output_ranks and output_types have different lengths");
  }
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    const auto rank = static_cast<std::int64_t>(prefix.output_ranks[i]);
    if (prefix.output_positions[i] >= rank || attributes.output_row_axes[i] >= rank) {
      RefuseAttributes(attributes, "output_ranks says that live-out " + std::to_string(i) +
                                       " has " + std::to_string(rank) +
                                       " axes, but one of its axes lies behind them");
    }
  }
}

std::unique_ptr<const Cut> MakePrefixCut(const RegionAttributes& attributes,
                                         Conditions conditions) {
  const PrefixAttributes& prefix = attributes.prefix;
  conditions.masks = prefix.masks;
  return std::make_unique<PrefixCut>(
      PrefixAxes{attributes.input_row_axes, prefix.input_positions, attributes.output_row_axes,
                 prefix.output_positions, prefix.ends, prefix.ends_handed_on},
      prefix.block, prefix.min_suffix, std::move(conditions));
}

}  // namespace actcache
