// CacheLookup and CacheStore with any attributes, inputs and plan: what is refused is refused with
// an ort::Error, and what is not stays within its tensors and gives outputs of the declared types.
//
// Input: a node's attributes and types, a call's inputs, and changes to the plan and to the
// computed live-outs between the two operators.
#include <algorithm>
#include <memory>
#include <optional>

#include "flight/open_flights.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "reader.h"
#include "store/store.h"
#include "target.h"

namespace actcache {
namespace {

constexpr const char* kNames[] = {"region", "another", ""};
constexpr const char* kGranularities[] = {"row", "prefix", "tensor", "tile"};
constexpr std::int64_t kAxes[] = {0, 1, -1, 2, -2, 0, 0, 0};

ElementType ReadType(fuzz::Reader* reader) {
  const std::size_t type = reader->Below(32);
  return type < 23 ? static_cast<ElementType>(type) : ElementType::kFloat;
}

std::vector<std::int64_t> ReadAxes(fuzz::Reader* reader, std::size_t count) {
  std::vector<std::int64_t> axes(count);
  for (std::int64_t& axis : axes) axis = kAxes[reader->Below(std::size(kAxes))];
  return axes;
}

// Nodes of one region.
struct Nodes {
  ort::KernelInfo lookup;
  ort::KernelInfo store;

  // States included.
  std::size_t live_outs() const { return lookup.ints.at("output_row_axes").size(); }
  // The attribute of the axes along which a call's parts lie; of "input" or "output".
  std::string parts(const std::string& of) const {
    const bool prefix = lookup.strings.at("granularity") == "prefix";
    return of + (prefix ? "_position_axes" : "_row_axes");
  }
};

// Inputs behind the frontier by which a call chooses, and the output that accounts for it.
void AddPerCall(fuzz::Reader* reader, ort::KernelInfo* lookup) {
  const std::size_t wanted = reader->Below(16);
  for (const char* name : {"namespace_input", "control_input"}) {
    if (wanted < 12) continue;
    lookup->numbers[name] = static_cast<std::int64_t>(lookup->inputs.size());
    lookup->inputs.push_back(wanted == 12 ? ElementType::kFloat : ElementType::kString);
  }
  if (wanted < 14) return;
  lookup->numbers["account"] = 1;
  lookup->outputs.push_back(wanted == 14 ? ElementType::kInt64 : ElementType::kInt32);
}

// What only prefixes have; the number of states.
std::size_t AddPositions(fuzz::Reader* reader, ort::KernelInfo* lookup) {
  const std::size_t inputs = lookup->ints["input_row_axes"].size();
  const std::size_t live_outs = lookup->ints["output_row_axes"].size();
  lookup->ints["input_position_axes"] = ReadAxes(reader, inputs);
  lookup->ints["output_position_axes"] = ReadAxes(reader, live_outs);
  for (std::size_t i = 0; i < live_outs; ++i) {
    lookup->ints["output_ranks"].push_back(static_cast<std::int64_t>(reader->Below(4)));
  }
  const std::size_t states = reader->Below(4) / 2;
  lookup->numbers["states"] = static_cast<std::int64_t>(states);
  lookup->numbers["block"] = static_cast<std::int64_t>(reader->Below(4));
  lookup->numbers["min_suffix"] = static_cast<std::int64_t>(reader->Below(4));
  return std::min(states, live_outs);
}

// Mostly what a compiler would write, so that most get past the checks.
Nodes ReadNodes(fuzz::Reader* reader) {
  Nodes nodes;
  ort::KernelInfo& lookup = nodes.lookup;
  lookup.strings = {{"region", kNames[reader->Below(8) / 6 * reader->Below(3)]},
                    {"fingerprint", kNames[reader->Below(8) / 6 * reader->Below(3)]},
                    {"granularity", kGranularities[reader->Below(std::size(kGranularities))]}};
  const std::size_t inputs = 1 + reader->Below(3);
  const std::size_t live_outs = 1 + reader->Below(2);
  lookup.ints["input_row_axes"] = ReadAxes(reader, inputs);
  lookup.ints["output_row_axes"] = ReadAxes(reader, live_outs);
  for (std::size_t i = 0; i < inputs; ++i) lookup.inputs.push_back(ReadType(reader));
  lookup.outputs = {ElementType::kBool, ElementType::kUint8};
  for (std::size_t i = 0; i < live_outs; ++i) {
    const ElementType type = ReadType(reader);
    lookup.ints["output_types"].push_back(static_cast<std::int64_t>(type));
    lookup.outputs.push_back(type);
    nodes.store.outputs.push_back(type);
  }
  const bool prefix = lookup.strings["granularity"] == "prefix";
  const std::size_t states = prefix ? AddPositions(reader, &lookup) : 0;
  const std::vector<std::int64_t>& compact =
      lookup.ints[prefix ? "input_position_axes" : "input_row_axes"];
  for (std::size_t i = 0; i < inputs; ++i) {
    if (compact[i] >= 0) lookup.outputs.push_back(lookup.inputs[i]);
  }
  lookup.ints["size_equations"].resize(reader->Below(8) / 7 * 4);
  for (std::int64_t& number : lookup.ints["size_equations"]) {
    number = static_cast<std::int64_t>(reader->Below(3));
  }
  nodes.store.strings = lookup.strings;
  nodes.store.ints = lookup.ints;
  nodes.store.numbers = lookup.numbers;
  nodes.store.inputs = {ElementType::kUint8};
  for (int times = 0; times < 2; ++times) {
    nodes.store.inputs.insert(nodes.store.inputs.end(), nodes.store.outputs.begin(),
                              nodes.store.outputs.end());
  }
  nodes.store.outputs.resize(nodes.store.outputs.size() - states);
  AddPerCall(reader, &lookup);
  if (reader->Below(16) == 15) lookup.outputs.pop_back();
  if (reader->Below(16) == 15) nodes.store.inputs.push_back(ElementType::kFloat);
  return nodes;
}

ort::Value ReadValue(fuzz::Reader* reader, ElementType type, const Dims& dims) {
  ort::Value value{{type, dims}, std::vector<std::uint64_t>(ByteCount(type, dims) / 8 + 1), {}};
  if (type == ElementType::kString) {
    for (std::size_t i = 0; i < ElementCount(dims); ++i) value.strings.push_back(reader->Text(2));
    return value;
  }
  for (std::uint64_t& word : value.words) word = reader->Below(3);
  return value;
}

Dims ReadDims(fuzz::Reader* reader, std::size_t rows) {
  Dims dims(reader->Below(4));
  for (std::int64_t& dim : dims) {
    const std::size_t size = reader->Below(6);
    dim = static_cast<std::int64_t>(size > 2 ? rows : size);
  }
  return dims;
}

// Runs a kernel; nothing if it refuses the call.
template <typename Kernel>
std::optional<ort::KernelContext> Run(const Kernel& kernel, const ort::KernelInfo& info,
                                      std::vector<ort::Value> inputs) {
  ort::KernelContext context{&info, std::move(inputs),
                             std::vector<ort::Value>(info.outputs.size())};
  try {
    kernel.Compute(&context);
  } catch (const ort::Error&) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < info.outputs.size(); ++i) {
    ACTCACHE_FUZZ_CHECK(context.outputs[i].info.type == info.outputs[i]);
  }
  return context;
}

// The inputs of CacheStore: what CacheLookup said, now and then changed, and live-outs as the
// region's nodes could have computed them for those rows, now and then not.
std::vector<ort::Value> StoreInputs(fuzz::Reader* reader, const Nodes& nodes,
                                    const ort::KernelContext& looked, std::size_t rows) {
  std::vector<ort::Value> inputs = {looked.outputs[1]};
  ort::Value& plan = inputs.front();
  for (std::size_t changes = reader->Below(8) / 5; changes > 0; --changes) {
    plan.data()[reader->Below(256) % plan.info.dims[0]] ^=
        static_cast<std::byte>(reader->Below(256));
  }
  const std::size_t live_outs = nodes.live_outs();
  for (std::size_t i = 0; i < live_outs; ++i) inputs.push_back(looked.outputs[2 + i]);
  for (std::size_t i = 0; i < live_outs; ++i) {
    Dims dims = ReadDims(reader, rows);
    const std::int64_t axis = nodes.store.ints.at(nodes.parts("output"))[i];
    if (axis >= 0 && static_cast<std::size_t>(axis) < dims.size() && reader->Below(8) != 7) {
      dims[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(rows);
    }
    inputs.push_back(ReadValue(reader, nodes.store.inputs[1 + i], dims));
  }
  return inputs;
}

// The number of rows or positions that are to be computed, off the first compact output.
std::size_t MissingParts(const Nodes& nodes, const ort::KernelContext& looked) {
  const std::vector<std::int64_t>& axes = nodes.lookup.ints.at(nodes.parts("input"));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0) continue;
    const Dims& dims = looked.outputs[2 + nodes.live_outs()].info.dims;
    const auto axis = static_cast<std::size_t>(axes[i]);
    return axis < dims.size() ? static_cast<std::size_t>(dims[axis]) : 1;
  }
  return 1;
}

void RunCalls(fuzz::Reader* reader, const Nodes& nodes, const CacheLookup& lookup,
              const CacheStore& store) {
  for (int call = 0; call < 3 && !reader->empty(); ++call) {
    const std::size_t rows = reader->Below(20);
    std::vector<ort::Value> inputs;
    for (const ElementType type : nodes.lookup.inputs) {
      inputs.push_back(ReadValue(reader, type, ReadDims(reader, rows)));
    }
    const auto looked = Run(lookup, nodes.lookup, std::move(inputs));
    if (!looked || *looked->outputs[0].data() == std::byte{0}) continue;
    Run(store, nodes.store, StoreInputs(reader, nodes, *looked, MissingParts(nodes, *looked)));
  }
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  // A float region of rows on axis 0, called with [4, 2]: columns of zeros and ones.
  const Input by_row = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 4, 2, 3, 2, 0, 1, 0, 1, 1,
                        0, 2, 3, 2, 0, 1, 2, 3, 2, 3, 2, 0, 0, 1, 1, 1, 0, 2, 3, 2, 0, 1};
  const Input whole = {0, 0, 2, 0, 0, 2, 2, 1, 1, 0, 0, 0, 3,
                       2, 3, 1, 0, 1, 2, 0, 2, 3, 1, 1, 1, 1};
  const Input strings = {0, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 2, 1, 3, 1, 'a', 0, 0, 1, 3, 1, 1};
  // The same by blocks of two positions on axis 1.
  const Input by_positions = {0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 0, 2, 2, 0, 0, 0, 4, 2, 3,
                              2, 0, 1, 0, 1, 1, 0, 2, 3, 2, 0, 1, 2, 3, 2, 3, 2, 0, 0, 1, 1, 1};
  return {by_row, whole, strings, by_positions};
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  fuzz::Reader reader(data, size);
  const SessionSettings session{"", Registry::Process().InternNamespace("")};
  const Nodes nodes = ReadNodes(&reader);
  std::optional<CacheLookup> lookup;
  std::optional<CacheStore> store;
  try {
    lookup.emplace(fake::Api::Get(), &nodes.lookup, session);
    store.emplace(fake::Api::Get(), &nodes.store, session);
  } catch (const ort::Error& error) {
    ACTCACHE_FUZZ_CHECK(error.code() == ort::ErrorCode::kInvalidGraph);
    return 0;
  }
  RunCalls(&reader, nodes, *lookup, *store);
  // A call that was refused between its operators leaves its claims to its thread.
  OpenFlights::OfThisThread().EndAll();
  Store::Process().Invalidate(Selection{}, SteadyNow());
  ACTCACHE_FUZZ_CHECK(Store::Process().stats().bytes == 0);
  return 0;
}
