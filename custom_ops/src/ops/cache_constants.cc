#include "ops/cache_constants.h"

#include <algorithm>

#include "ops/attribute_reader.h"
#include "ops/region_attributes.h"

namespace actcache {
namespace {

RegionAttributes ReadConstantsAttributes(const ort::Api* api, const ort::KernelInfo* info) {
  const AttributeReader reader(CacheConstants::kName, api, info);
  RegionAttributes attributes;
  attributes.region = reader.String("region");
  attributes.constants = reader.Ints("constants");
  if (reader.InputCount() != 1 + attributes.constants.size()) {
    RefuseAttributes(attributes, "CacheConstants has " + std::to_string(reader.InputCount()) +
                                     " inputs for " + std::to_string(attributes.constants.size()) +
                                     " constants");
  }
  return attributes;
}

}  // namespace

CacheConstants::CacheConstants(const ort::Api* api, const ort::KernelInfo* info,
                               const SessionSettings& /*session*/)
    : api_(api),
      constants_(SessionConstants::ForLookup(api, info, ReadConstantsAttributes(api, info))) {}

void CacheConstants::Compute(ort::KernelContext* context) const {
  const KernelIo io(api_, context);
  const TensorView condition = io.Input(0);
  const KernelIo::Output output = io.Allocate(0, condition.type, condition.dims);
  if (output.data != nullptr) std::copy_n(condition.data, condition.bytes, output.data);
}

}  // namespace actcache
