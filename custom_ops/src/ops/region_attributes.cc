#include "ops/region_attributes.h"

#include <algorithm>
#include <vector>

#include "units/call_plan.h"

namespace actcache {
namespace {

namespace slot = ort::slot;

[[noreturn]] void Refuse(const RegionAttributes& attributes, const std::string& problem) {
  throw ort::Error(ort::ErrorCode::kInvalidGraph,
                   "actcache: region \"" + attributes.region + "\": " + problem);
}

// Reads attributes of one node; a missing one is an error that says so.
class Reader {
 public:
  Reader(const char* op, const ort::Api* api, const ort::KernelInfo* info)
      : op_(op), api_(api), info_(info) {}

  std::string String(const char* name) const {
    return Named(name, [&] {
      return ort::ReadString(api_, [&](char* out, std::size_t* size) {
        return slot::KernelInfoGetAttribute_string(api_, info_, name, out, size);
      });
    });
  }

  std::vector<std::int64_t> Ints(const char* name) const {
    return Named(name, [&] {
      std::size_t size = 0;
      const auto read = slot::KernelInfoGetAttributeArray_int64;
      ort::Check(api_, read(api_, info_, name, nullptr, &size));
      std::vector<std::int64_t> values(size);
      if (size > 0) ort::Check(api_, read(api_, info_, name, values.data(), &size));
      return values;
    });
  }

  // As Ints; an attribute that is not there is empty: several tools cannot write an empty one. Only
  // the message of the runtime tells this from other errors.
  std::vector<std::int64_t> IntsOrNone(const char* name) const {
    try {
      return Ints(name);
    } catch (const ort::Error& error) {
      if (std::string(error.what()).find("No attribute with") == std::string::npos) throw;
      return {};
    }
  }

  std::string StringOrNone(const char* name) const {
    try {
      return String(name);
    } catch (const ort::Error&) {
      return "";
    }
  }

  double FloatOr(const char* name, double absent) const {
    float value = 0;
    try {
      ort::Call(api_, slot::KernelInfoGetAttribute_float, info_, name, &value);
    } catch (const ort::Error&) {
      return absent;
    }
    return value;
  }

  std::int64_t IntOr(const char* name, std::int64_t absent) const {
    std::int64_t value = absent;
    try {
      ort::Call(api_, slot::KernelInfoGetAttribute_int64, info_, name, &value);
    } catch (const ort::Error&) {
      return absent;
    }
    return value;
  }

  ElementType InputType(std::size_t index) const {
    return DeclaredType(slot::KernelInfo_GetInputTypeInfo, index);
  }
  ElementType OutputType(std::size_t index) const {
    return DeclaredType(slot::KernelInfo_GetOutputTypeInfo, index);
  }

  std::size_t InputCount() const { return Count(slot::KernelInfo_GetInputCount); }
  std::size_t OutputCount() const { return Count(slot::KernelInfo_GetOutputCount); }

 private:
  template <typename Read>
  auto Named(const char* name, const Read& read) const -> decltype(read()) {
    try {
      return read();
    } catch (const ort::Error& error) {
      throw ort::Error(ort::ErrorCode::kInvalidGraph, std::string("actcache: ") + op_ +
                                                          " needs the attribute \"" + name +
                                                          "\": " + error.what());
    }
  }

  template <typename SlotType>
  std::size_t Count(const SlotType& function) const {
    std::size_t count = 0;
    ort::Call(api_, function, info_, &count);
    return count;
  }

  // The element type that the model declares, which is what the runtime allocates.
  template <typename SlotType>
  ElementType DeclaredType(const SlotType& function, std::size_t index) const {
    ort::TypeInfo* raw = nullptr;
    ort::Call(api_, function, info_, index, &raw);
    const ort::Handle type(api_, raw, slot::ReleaseTypeInfo);
    const ort::TensorInfo* tensor = nullptr;
    ort::Call(api_, slot::CastTypeInfoToTensorInfo, type.get(), &tensor);
    ElementType element = ElementType::kUndefined;
    if (tensor != nullptr) ort::Call(api_, slot::GetTensorElementType, tensor, &element);
    return element;
  }

  const char* op_;
  const ort::Api* api_;
  const ort::KernelInfo* info_;
};

Axes ToAxes(const std::vector<std::int64_t>& values) {
  Axes axes(values.size());
  std::copy(values.begin(), values.end(), axes.begin());
  return axes;
}

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
  if (numbers.size() % kNumbers != 0) Refuse(attributes, "samples is malformed");
  std::vector<WeightSample> samples;
  for (std::size_t i = 0; i < numbers.size(); i += kNumbers) {
    const std::int64_t* const sample = numbers.data() + i;
    if (sample[1] < 0 || sample[2] < 1) Refuse(attributes, "samples is malformed");
    samples.push_back({sample[0], static_cast<std::size_t>(sample[1]),
                       static_cast<std::size_t>(sample[2]), ToDigest(sample + 3),
                       ToDigest(sample + 7)});
  }
  return samples;
}

std::size_t ReadRows(const Reader& reader, const RegionAttributes& attributes, const char* name,
                     std::size_t otherwise) {
  const std::int64_t rows = reader.IntOr(name, static_cast<std::int64_t>(otherwise));
  if (rows < 1 || static_cast<std::size_t>(rows) > kMaxPlanRows) {
    Refuse(attributes,
           std::string(name) + " is " + std::to_string(rows) + ", but has to be 1 or more");
  }
  return static_cast<std::size_t>(rows);
}

RegionAttributes ReadShared(const Reader& reader) {
  RegionAttributes attributes;
  attributes.region = reader.String("region");
  attributes.fingerprint = reader.String("fingerprint");
  const std::string granularity = reader.String("granularity");
  if (granularity != "row" && granularity != "tensor") {
    Refuse(attributes,
           "granularity is \"" + granularity + "\", but has to be \"row\" or \"tensor\"");
  }
  attributes.rows = granularity == "row";
  attributes.output_row_axes = ToAxes(reader.Ints("output_row_axes"));
  for (const std::int64_t type : reader.Ints("output_types")) {
    attributes.output_types.push_back(static_cast<ElementType>(type));
  }
  attributes.least_rows.alike = ReadRows(reader, attributes, "min_rows", 1);
  attributes.least_rows.computed =
      ReadRows(reader, attributes, "min_computed_rows", attributes.least_rows.alike);
  attributes.constants = reader.IntsOrNone("constants");
  return attributes;
}

// The kernels write as many bytes as the attributes say, so the model has to declare the same
// types.
void RequireType(const RegionAttributes& attributes, const char* what, std::size_t index,
                 ElementType declared, ElementType wanted) {
  if (declared == wanted) return;
  Refuse(attributes,
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
  for (std::size_t i = 0; i < attributes.input_row_axes.size(); ++i) {
    if (attributes.input_row_axes[i] < 0) continue;
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
  if (attributes.account) {
    RequireType(attributes, "CacheLookup's output", output, reader.OutputType(output),
                ElementType::kInt64);
  }
}

void CheckStoreTypes(const Reader& reader, const RegionAttributes& attributes) {
  const std::size_t live_outs = attributes.live_outs();
  for (std::size_t i = 0; i < live_outs; ++i) {
    const ElementType type = attributes.output_types[i];
    RequireType(attributes, "CacheStore's output", i, reader.OutputType(i), type);
    RequireType(attributes, "CacheStore's input", 1 + i, reader.InputType(1 + i), type);
    RequireType(attributes, "CacheStore's input", 1 + live_outs + i,
                reader.InputType(1 + live_outs + i), type);
  }
}

void CheckAxes(const RegionAttributes& attributes, const char* name, const Axes& axes) {
  for (const std::int64_t axis : axes) {
    if (axis < -1) Refuse(attributes, std::string(name) + " has an axis below -1");
    if (!attributes.rows && axis != -1) {
      Refuse(attributes, std::string(name) + " has to be all -1 for granularity \"tensor\"");
    }
  }
}

void CheckShared(const RegionAttributes& attributes) {
  if (attributes.region.empty()) Refuse(attributes, "the attribute \"region\" is empty");
  // Without it, a retrained model would be served the results of its predecessor.
  if (attributes.fingerprint.empty()) Refuse(attributes, "the attribute \"fingerprint\" is empty");
  if (attributes.output_types.empty()) Refuse(attributes, "output_types is empty");
  if (attributes.output_row_axes.size() != attributes.live_outs()) {
    Refuse(attributes, "output_row_axes and output_types have different lengths");
  }
  CheckAxes(attributes, "output_row_axes", attributes.output_row_axes);
  for (std::size_t i = 0; i < attributes.live_outs(); ++i) {
    if (attributes.rows && attributes.output_row_axes[i] < 0) {
      Refuse(attributes, "every live-out needs a row axis for granularity \"row\"");
    }
    if (ElementBits(attributes.output_types[i]) < 8) {
      Refuse(attributes, "live-outs of element type " +
                             std::to_string(static_cast<int>(attributes.output_types[i])) +
                             " cannot be cached");
    }
  }
}

// The frontier comes first, then what a call says, then constants: every input is one of them.
void CheckCallInputs(const RegionAttributes& attributes, std::size_t inputs) {
  std::size_t expected = attributes.frontier() + attributes.constants.size();
  for (const std::int64_t input : {attributes.namespace_input, attributes.control_input}) {
    if (input < 0) continue;
    ++expected;
    if (static_cast<std::size_t>(input) < attributes.frontier() ||
        static_cast<std::size_t>(input) + attributes.constants.size() >= inputs) {
      Refuse(attributes, "namespace_input or control_input names no input behind the frontier");
    }
  }
  if (attributes.namespace_input >= 0 && attributes.namespace_input == attributes.control_input) {
    Refuse(attributes, "namespace_input and control_input name the same input");
  }
  if (expected == inputs) return;
  Refuse(attributes, "input_row_axes has " + std::to_string(attributes.frontier()) +
                         " entries, and CacheLookup " + std::to_string(inputs) + " inputs");
}

}  // namespace

std::size_t RegionAttributes::row_inputs() const {
  return static_cast<std::size_t>(std::count_if(input_row_axes.begin(), input_row_axes.end(),
                                                [](std::int64_t axis) { return axis >= 0; }));
}

std::unique_ptr<const Cut> MakeCut(const RegionAttributes& attributes) {
  if (!attributes.rows) {
    return std::make_unique<WholeCut>(attributes.frontier(), attributes.live_outs());
  }
  return std::make_unique<RowCut>(attributes.input_row_axes, attributes.output_row_axes,
                                  RowConditions{attributes.input_ranks, attributes.size_equations},
                                  attributes.least_rows);
}

void CheckLookupAttributes(const RegionAttributes& attributes, std::size_t inputs,
                           std::size_t outputs) {
  CheckShared(attributes);
  CheckCallInputs(attributes, inputs);
  CheckAxes(attributes, "input_row_axes", attributes.input_row_axes);
  if (attributes.rows && attributes.row_inputs() == 0) {
    Refuse(attributes, "some input needs a row axis for granularity \"row\"");
  }
  const std::size_t wanted = attributes.account_output() + (attributes.account ? 1 : 0);
  if (outputs != wanted) {
    Refuse(attributes, "CacheLookup has " + std::to_string(outputs) +
                           " outputs, but its attributes make " + std::to_string(wanted));
  }
}

void CheckStoreAttributes(const RegionAttributes& attributes, std::size_t inputs,
                          std::size_t outputs) {
  CheckShared(attributes);
  if (outputs != attributes.live_outs() || inputs != 1 + 2 * attributes.live_outs() +
                                                         attributes.constants.size() +
                                                         attributes.samples.size()) {
    Refuse(attributes, "CacheStore has " + std::to_string(inputs) + " inputs and " +
                           std::to_string(outputs) + " outputs for " +
                           std::to_string(attributes.live_outs()) + " live-outs");
  }
}

RegionAttributes ReadLookupAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const Reader reader("CacheLookup", api, info);
  RegionAttributes attributes = ReadShared(reader);
  attributes.input_row_axes = ToAxes(reader.Ints("input_row_axes"));
  if (!ParseSizeEquations(reader.IntsOrNone("size_equations"), attributes.input_row_axes.size(),
                          &attributes.size_equations)) {
    Refuse(attributes, "size_equations is malformed");
  }
  attributes.input_ranks = reader.IntsOrNone("input_ranks");
  if (!attributes.input_ranks.empty() &&
      attributes.input_ranks.size() != attributes.input_row_axes.size()) {
    Refuse(attributes, "input_ranks and input_row_axes have different lengths");
  }
  attributes.namespace_input = reader.IntOr("namespace_input", -1);
  attributes.control_input = reader.IntOr("control_input", -1);
  attributes.account = reader.IntOr("account", 0) != 0;
  attributes.key_constants = reader.IntsOrNone("key_constants");
  attributes.outer = reader.StringOrNone("outer");
  attributes.all_constants = reader.IntOr("all_constants", 0) != 0;
  CheckLookupAttributes(attributes, reader.InputCount(), reader.OutputCount());
  CheckLookupTypes(reader, attributes);
  return attributes;
}

RegionAttributes ReadStoreAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const Reader reader("CacheStore", api, info);
  RegionAttributes attributes = ReadShared(reader);
  attributes.tolerance = reader.FloatOr("tolerance", 0);
  if (!(attributes.tolerance >= 0)) Refuse(attributes, "tolerance has to be a number, 0 or more");
  attributes.samples = ReadSamples(reader, attributes);
  CheckStoreAttributes(attributes, reader.InputCount(), reader.OutputCount());
  CheckStoreTypes(reader, attributes);
  return attributes;
}

}  // namespace actcache
