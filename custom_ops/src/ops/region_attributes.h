// The attributes of CacheLookup, CacheStore and CacheFetch, read and checked when a session is
// created.
#ifndef ACTCACHE_OPS_REGION_ATTRIBUTES_H_
#define ACTCACHE_OPS_REGION_ATTRIBUTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "abi/runtime.h"
#include "hash/digest.h"
#include "ops/weight_sample.h"
#include "units/cut.h"
#include "units/keying.h"
#include "units/size_equations.h"

namespace actcache {

// What only regions of prefixes have (passes/cuts/prefix.py).
struct PrefixAttributes {
  Axes input_positions;                      // CacheLookup only; -1: it belongs to all positions
  Axes output_positions;                     // per live-out
  SmallVector<std::size_t, 8> output_ranks;  // CacheLookup only
  std::vector<Dims> output_sizes;            // likewise, of so many axes, -1: not fixed; or none
  std::size_t states = 0;
  std::size_t ends = 0;         // the last of the states (units/prefix_cut.h)
  bool ends_handed_on = false;  // CacheLookup only
  std::size_t block = 1;
  std::size_t min_suffix = 2;        // CacheLookup only
  std::vector<MaskCondition> masks;  // likewise: of binary_inputs
};

struct RegionAttributes {
  std::string region;
  std::string fingerprint;
  PlanKind kind = PlanKind::kWhole;          // granularity
  Axes input_row_axes;                       // CacheLookup only; -1: no row axis
  Axes output_row_axes;                      // per live-out; all -1 for "tensor"
  ElementTypes output_types;                 // per live-out; states are the last of them
  PrefixAttributes prefix;                   // of granularity "prefix"
  std::vector<SizeEquation> size_equations;  // CacheLookup only; none for "tensor"
  // The attributes min_rows and min_computed_rows; absent in most models: 1.
  LeastUnits least_rows;

  // CacheLookup only, and absent in models that were compiled without them: the ranks that the
  // proof of the rows believed (-1: any), the inputs behind the frontier (per_call.h), and whether
  // the last output is the account.
  std::vector<std::int64_t> input_ranks;
  std::int64_t namespace_input = -1;
  std::int64_t control_input = -1;
  bool account = false;

  // CacheStore only, and absent in most models: 0. How far apart results of this region may be and
  // count as equal, where its types or the original's own spread are coarser than the knob.
  double tolerance = 0;

  // Absent in models that were compiled without them (session_constants.h). Numbers of the
  // constants that are the node's last inputs; CacheLookup only: of all that the region's keys
  // cover, in order, and the region that this one lies in.
  std::vector<std::int64_t> constants;
  std::vector<std::int64_t> key_constants;
  std::string outer;
  // CacheLookup only, and absent in models that were compiled without them: whether a CacheFetch
  // copies what is found when nothing is missing; numbers of the live-outs that nobody but
  // CacheStore reads when something is, so that it may copy them.
  bool hands_over = false;
  std::vector<std::int64_t> store_fetches;
  // CacheLookup only: whether key_constants are all that the region computes with.
  bool all_constants = false;
  // CacheLookup only: the key_constants that the proof of the units rests on, with their digests
  // when the model was compiled.
  struct AssumedConstant {
    std::int64_t constant;
    Digest digest;
  };
  std::vector<AssumedConstant> assumed;
  // CacheStore only: what its inputs behind the constants are.
  std::vector<WeightSample> samples;

  // What entries hold: live-outs and states.
  std::size_t live_outs() const { return output_types.size(); }
  // Live-outs without the states.
  std::size_t handed_on() const { return live_outs() - prefix.states; }
  bool StoreFetches(std::size_t live_out) const {
    const auto number = static_cast<std::int64_t>(live_out);
    return std::find(store_fetches.begin(), store_fetches.end(), number) != store_fetches.end();
  }
  // How many inputs are the frontier; they come first.
  std::size_t frontier() const { return input_row_axes.size(); }
  // Per input the axis along which what is to be computed is handed out; -1: it is not.
  const Axes& compact_axes() const;
  std::size_t compact_inputs() const;
  // Of prefixes with ends: Match::divided, as int64 [1].
  std::size_t divided_output() const { return 2 + live_outs() + compact_inputs(); }
  std::size_t account_output() const { return divided_output() + (prefix.ends > 0 ? 1 : 0); }
  // The shape of a live-out of which nothing is known, in a call of so many rows.
  Dims EmptyDims(std::size_t live_out, std::size_t rows) const;
};

// Throws the ort::Error of attributes that make no sense.
[[noreturn]] void RefuseAttributes(const RegionAttributes& attributes, const std::string& problem);

// As the attribute, the audit log and statistics name it.
const char* GranularityText(PlanKind kind);

// All throw ort::Error with a message that names the operator and the attribute.
RegionAttributes ReadLookupAttributes(const ort::Api* api, const ort::KernelInfo* info);
RegionAttributes ReadStoreAttributes(const ort::Api* api, const ort::KernelInfo* info);
// The region and its results alone.
RegionAttributes ReadFetchAttributes(const ort::Api* api, const ort::KernelInfo* info);

// How the region's calls are divided.
std::unique_ptr<const Cut> MakeCut(const RegionAttributes& attributes);

// The checks alone. `inputs` and `outputs` are what the node has.
void CheckLookupAttributes(const RegionAttributes& attributes, std::size_t inputs,
                           std::size_t outputs);
void CheckStoreAttributes(const RegionAttributes& attributes, std::size_t inputs,
                          std::size_t outputs);

}  // namespace actcache

#endif  // ACTCACHE_OPS_REGION_ATTRIBUTES_H_
