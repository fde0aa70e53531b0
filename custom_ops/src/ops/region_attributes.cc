#include "ops/region_attributes.h"

#include <algorithm>
#include <vector>

#include "ops/attribute_reader.h"
#include "ops/prefix_attributes.h"
#include "units/call_plan.h"
#include "units/prefix_cut.h"

namespace actcache {
namespace {

using Reader = AttributeReader;

Digest ToDigest(const std::int64_t* numbers) {
  Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const auto number = static_cast<std::uint64_t>(numbers[i / 8]);
    digest[i] = static_cast<unsigned char>(number >> (8 * (i % 8)));
  }
  return digest;
}

// Per sample: number of the constant, first element, stride; two digests of four numbers each.
std::vector<WeightSample> ReadSamples(const Reader& reader, const RegionAttributes& attributes) {
  constexpr std::size_t kNumbers = 11;
  const std::vector<std::int64_t> numbers = reader.IntsOrNone("samples");
  if (numbers.size() % kNumbers != 0) RefuseAttributes(attributes, "samples is malformed");
  std::vector<WeightSample> samples;
  for (std::size_t i = 0; i < numbers.size(); i += kNumbers) {
    const std::int64_t* const sample = numbers.data() + i;
    if (sample[1] < 0 || sample[2] < 1) RefuseAttributes(attributes, "samples is malformed");
    samples.push_back({sample[0], static_cast<std::size_t>(sample[1]),
                       static_cast<std::size_t>(sample[2]), ToDigest(sample + 3),
                       ToDigest(sample + 7)});
  }
  return samples;
}

// Per constant: its number; a digest of four numbers.
std::vector<RegionAttributes::AssumedConstant> ReadAssumed(const Reader& reader,
                                                           const RegionAttributes& attributes) {
  constexpr std::size_t kNumbers = 5;
  const std::vector<std::int64_t> numbers = reader.IntsOrNone("assumed_constants");
  if (numbers.size() % kNumbers != 0) {
    RefuseAttributes(attributes, "assumed_constants is malformed");
  }
  std::vector<RegionAttributes::AssumedConstant> assumed;
  for (std::size_t i = 0; i < numbers.size(); i += kNumbers) {
    assumed.push_back({numbers[i], ToDigest(numbers.data() + i + 1)});
  }
  return assumed;
}

std::size_t ReadRows(const Reader& reader, const RegionAttributes& attributes, const char* name,
                     std::size_t otherwise) {
  const std::int64_t rows = reader.IntOr(name, static_cast<std::int64_t>(otherwise));
  if (rows < 1 || static_cast<std::size_t>(rows) > kMaxPlanRows) {
    RefuseAttributes(attributes, std::string(name) + " is " + std::to_string(rows) +
                                     ", but has to be 1 or more");
  }
  return static_cast<std::size_t>(rows);
}

PlanKind ReadKind(const Reader& reader, const RegionAttributes& attributes) {
  const std::string granularity = reader.String("granularity");
  for (const PlanKind kind : {PlanKind::kRow, PlanKind::kPrefix, PlanKind::kWhole}) {
    if (granularity == GranularityText(kind)) return kind;
  }
  RefuseAttributes(
      attributes,
      "granularity is \"" + granularity +
          R"(", but has to be "row", "prefix" or "tensor"; a newer actcache may know )" +
          "it: install that, or compile the model again");
}

RegionAttributes ReadResults(const Reader& reader) {
  RegionAttributes attributes;
  attributes.region = reader.String("region");
  attributes.fingerprint = reader.String("fingerprint");
  for (const std::int64_t type : reader.Ints("output_types")) {
    attributes.output_types.push_back(static_cast<ElementType>(type));
  }
  return attributes;
}

RegionAttributes ReadShared(const Reader& reader) {
  RegionAttributes attributes = ReadResults(reader);
  attributes.kind = ReadKind(reader, attributes);
  attributes.output_row_axes = ToAxes(reader.Ints("output_row_axes"));
  attributes.least_rows.alike = ReadRows(reader, attributes, "min_rows", 1);
  attributes.least_rows.computed =
      ReadRows(reader, attributes, "min_computed_rows", attributes.least_rows.alike);
  attributes.constants = reader.IntsOrNone("constants");
  if (attributes.kind == PlanKind::kPrefix) ReadPrefix(reader, attributes);
  return attributes;
}

// The kernels write as many bytes as the attributes say, so the model has to declare the same
// types.
void RequireType(const RegionAttributes& attributes, const char* what, std::size_t index,
                 ElementType declared, ElementType wanted) {
  if (declared == wanted) return;
  RefuseAttributes(
      attributes,
      std::string(what) + " " + std::to_string(index) + " is of element type " +
          std::to_string(static_cast<int>(declared)) + " in the model, but " +
          std::to_string(static_cast<int>(wanted)) +
          " by the attributes. It was changed after it was compiled: change the original, "
          "and compile that");
}

void CheckLookupTypes(const Reader& reader, const RegionAttributes& attributes) {
  std::size_t output = 2;
  for (const ElementType type : attributes.output_types) {
    RequireType(attributes, "CacheLookup's output", output, reader.OutputType(output), type);
    ++output;
  }
  for (std::size_t i = 0; i < attributes.frontier(); ++i) {
    if (attributes.compact_axes()[i] < 0) continue;
    RequireType(attributes, "CacheLookup's output", output, reader.OutputType(output),
                reader.InputType(i));
    ++output;
  }
  for (const std::int64_t input : {attributes.namespace_input, attributes.control_input}) {
    if (input < 0) continue;
    const auto index = static_cast<std::size_t>(input);
    RequireType(attributes, "CacheLookup's input", index, reader.InputType(index),
                ElementType::kString);
  }
  if (attributes.prefix.ends > 0) {
    RequireType(attributes, "CacheLookup's output", output, reader.OutputType(output),
                ElementType::kInt64);
    ++output;
  }
  if (attributes.account) {
    RequireType(attributes, "CacheLookup's output", output, reader.OutputType(output),
                ElementType::kInt64);
  }
}

void CheckStoreTypes(const Reader& reader, const RegionAttributes& attributes) {
  const std::size_t live_outs = attributes.live_outs();
  for (std::size_t i = 0; i < live_outs; ++i) {
    const ElementType type = attributes.output_types[i];
    if (i < attributes.handed_on()) {
      RequireType(attributes, "CacheStore's output", i, reader.OutputType(i), type);
    }
    RequireType(attributes, "CacheStore's input", 1 + i, reader.InputType(1 + i), type);
    RequireType(attributes, "CacheStore's input", 1 + live_outs + i,
                reader.InputType(1 + live_outs + i), type);
  }
}

void CheckAxes(const RegionAttributes& attributes, const char* name, const Axes& axes) {
  for (const std::int64_t axis : axes) {
    if (axis < -1) RefuseAttributes(attributes, std::string(name) + " has an axis below -1");
    if (attributes.kind == PlanKind::kWhole && axis != -1) {
      RefuseAttributes(attributes,
                       std::string(name) + " has to be all -1 for granularity \"tensor\"");
    }
  }
}

void CheckResults(const RegionAttributes& attributes) {
  if (attributes.region.empty()) RefuseAttributes(attributes, "the attribute \"region\" is empty");
  // Without it, a retrained model would be served the results of its predecessor.
  if (attributes.fingerprint.empty())
    RefuseAttributes(attributes, "the attribute \"fingerprint\" is empty");
  if (attributes.output_types.empty()) RefuseAttributes(attributes, "output_types is empty");
}

void CheckShared(const RegionAttributes& attributes) {
  CheckResults(attributes);
  if (attributes.output_row_axes.size() != attributes.live_outs()) {
    RefuseAttributes(attributes, "output_row_axes and output_types have different lengths");
  }
  CheckAxes(attributes, "output_row_axes", attributes.output_row_axes);
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    if (attributes.kind == PlanKind::kRow && attributes.output_row_axes[i] < 0) {
      RefuseAttributes(attributes, "every live-out needs a row axis for granularity \"row\"");
    }
    if (ElementBits(attributes.output_types[i]) < 8) {
      RefuseAttributes(attributes,
                       "live-outs of element type " +
                           std::to_string(static_cast<int>(attributes.output_types[i])) +
                           " cannot be cached");
    }
  }
  if (attributes.kind == PlanKind::kPrefix) CheckPrefix(attributes);
}

// The frontier comes first, then what a call says, then constants: every input is one of them.
void CheckCallInputs(const RegionAttributes& attributes, std::size_t inputs) {
  std::size_t expected = attributes.frontier() + attributes.constants.size();
  for (const std::int64_t input : {attributes.namespace_input, attributes.control_input}) {
    if (input < 0) continue;
    ++expected;
    if (static_cast<std::size_t>(input) < attributes.frontier() ||
        static_cast<std::size_t>(input) + attributes.constants.size() >= inputs) {
      RefuseAttributes(attributes,
                       "namespace_input or control_input names no input behind the frontier");
    }
  }
  if (attributes.namespace_input >= 0 && attributes.namespace_input == attributes.control_input) {
    RefuseAttributes(attributes, "namespace_input and control_input name the same input");
  }
  if (expected == inputs) return;
  RefuseAttributes(attributes, "input_row_axes has " + std::to_string(attributes.frontier()) +
                                   " entries, and CacheLookup " + std::to_string(inputs) +
                                   " inputs");
}

}  // namespace

[[noreturn]] void RefuseAttributes(const RegionAttributes& attributes, const std::string& problem) {
  throw ort::Error(ort::ErrorCode::kInvalidGraph,
                   "actcache: region \"" + attributes.region + "\": " + problem);
}

const char* GranularityText(PlanKind kind) {
  switch (kind) {
    case PlanKind::kRow:
      return "row";
    case PlanKind::kPrefix:
      return "prefix";
    default:
      return "tensor";
  }
}

const Axes& RegionAttributes::compact_axes() const {
  return kind == PlanKind::kPrefix ? prefix.input_positions : input_row_axes;
}

std::size_t RegionAttributes::compact_inputs() const {
  const Axes& axes = compact_axes();
  return static_cast<std::size_t>(
      std::count_if(axes.begin(), axes.end(), [](std::int64_t axis) { return axis >= 0; }));
}

Dims RegionAttributes::EmptyDims(std::size_t live_out, std::size_t rows) const {
  if (kind != PlanKind::kPrefix) return Dims{0};
  Dims dims(prefix.output_ranks[live_out], 0);
  if (!prefix.output_sizes.empty()) {
    std::transform(prefix.output_sizes[live_out].begin(), prefix.output_sizes[live_out].end(),
                   dims.begin(), [](std::int64_t size) { return std::max<std::int64_t>(size, 0); });
  }
  dims = UnitAxis(output_row_axes[live_out]).WithUnits(std::move(dims), rows);
  return UnitAxis(prefix.output_positions[live_out]).WithUnits(std::move(dims), 0);
}

std::unique_ptr<const Cut> MakeCut(const RegionAttributes& attributes) {
  if (attributes.kind == PlanKind::kWhole) {
    return std::make_unique<WholeCut>(attributes.frontier(), attributes.live_outs());
  }
  Conditions conditions{attributes.input_ranks, attributes.size_equations};
  if (attributes.kind == PlanKind::kPrefix) {
    return MakePrefixCut(attributes, std::move(conditions));
  }
  return std::make_unique<RowCut>(attributes.input_row_axes, attributes.output_row_axes,
                                  std::move(conditions), attributes.least_rows);
}

void CheckLookupAttributes(const RegionAttributes& attributes, std::size_t inputs,
                           std::size_t outputs) {
  CheckShared(attributes);
  CheckCallInputs(attributes, inputs);
  CheckAxes(attributes, "input_row_axes", attributes.input_row_axes);
  if (attributes.kind == PlanKind::kPrefix) CheckPrefixLookup(attributes);
  if (attributes.kind == PlanKind::kRow && attributes.compact_inputs() == 0) {
    RefuseAttributes(attributes, "some input needs a row axis for granularity \"row\"");
  }
  for (const std::int64_t live_out : attributes.store_fetches) {
    if (live_out < 0 || static_cast<std::size_t>(live_out) >= attributes.handed_on()) {
      RefuseAttributes(attributes, "store_fetches names a result that is not there");
    }
  }
  const std::size_t wanted = attributes.account_output() + (attributes.account ? 1 : 0);
  if (outputs != wanted) {
    RefuseAttributes(attributes, "CacheLookup has " + std::to_string(outputs) +
                                     " outputs, but its attributes make " + std::to_string(wanted));
  }
}

void CheckStoreAttributes(const RegionAttributes& attributes, std::size_t inputs,
                          std::size_t outputs) {
  CheckShared(attributes);
  // Those of states have no name, or are left out.
  if (outputs < attributes.handed_on() || outputs > attributes.live_outs() ||
      inputs != 1 + 2 * attributes.live_outs() + attributes.constants.size() +
                    attributes.samples.size()) {
    RefuseAttributes(attributes, "CacheStore has " + std::to_string(inputs) + " inputs and " +
                                     std::to_string(outputs) + " outputs for " +
                                     std::to_string(attributes.live_outs()) + " live-outs");
  }
}

RegionAttributes ReadLookupAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const Reader reader("CacheLookup", api, info);
  RegionAttributes attributes = ReadShared(reader);
  attributes.input_row_axes = ToAxes(reader.Ints("input_row_axes"));
  if (attributes.kind == PlanKind::kPrefix) ReadPrefixLookup(reader, attributes);
  if (!ParseSizeEquations(reader.IntsOrNone("size_equations"), attributes.input_row_axes.size(),
                          &attributes.size_equations)) {
    RefuseAttributes(attributes, "size_equations is malformed");
  }
  attributes.input_ranks = reader.IntsOrNone("input_ranks");
  if (!attributes.input_ranks.empty() &&
      attributes.input_ranks.size() != attributes.input_row_axes.size()) {
    RefuseAttributes(attributes, "input_ranks and input_row_axes have different lengths");
  }
  attributes.namespace_input = reader.IntOr("namespace_input", -1);
  attributes.control_input = reader.IntOr("control_input", -1);
  attributes.account = reader.IntOr("account", 0) != 0;
  attributes.hands_over = reader.IntOr("hands_over", 0) != 0;
  attributes.store_fetches = reader.IntsOrNone("store_fetches");
  attributes.key_constants = reader.IntsOrNone("key_constants");
  attributes.outer = reader.StringOrNone("outer");
  attributes.all_constants = reader.IntOr("all_constants", 0) != 0;
  attributes.assumed = ReadAssumed(reader, attributes);
  CheckLookupAttributes(attributes, reader.InputCount(), reader.OutputCount());
  CheckLookupTypes(reader, attributes);
  return attributes;
}

RegionAttributes ReadFetchAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const Reader reader("CacheFetch", api, info);
  RegionAttributes attributes = ReadResults(reader);
  CheckResults(attributes);
  const std::size_t results = attributes.output_types.size();
  if (reader.InputCount() != 1 + results || reader.OutputCount() != results) {
    RefuseAttributes(attributes, "CacheFetch has " + std::to_string(reader.InputCount()) +
                                     " inputs and " + std::to_string(reader.OutputCount()) +
                                     " outputs for " + std::to_string(results) + " live-outs");
  }
  for (std::size_t i = 0; i < results; ++i) {
    const ElementType type = attributes.output_types[i];
    RequireType(attributes, "CacheFetch's input", 1 + i, reader.InputType(1 + i), type);
    RequireType(attributes, "CacheFetch's output", i, reader.OutputType(i), type);
  }
  return attributes;
}

RegionAttributes ReadStoreAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const Reader reader("CacheStore", api, info);
  RegionAttributes attributes = ReadShared(reader);
  attributes.tolerance = reader.FloatOr("tolerance", 0);
  if (!(attributes.tolerance >= 0))
    RefuseAttributes(attributes, "tolerance has to be a number, 0 or more");
  attributes.samples = ReadSamples(reader, attributes);
  CheckStoreAttributes(attributes, reader.InputCount(), reader.OutputCount());
  CheckStoreTypes(reader, attributes);
  return attributes;
}

}  // namespace actcache
