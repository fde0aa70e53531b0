#include "ops/take_found.h"

#include <algorithm>
#include <string>

namespace actcache {
namespace {

bool IsOf(const Region& region, const RegionAttributes& attributes, const HandedOver& found) {
  const bool complete = found.tensors.size() == attributes.live_outs();
  return found.region == region.number && (found.computes || complete) &&
         std::all_of(found.tensors.begin(), found.tensors.end(), [&](const FoundTensor& tensor) {
           return tensor.live_out < attributes.live_outs() &&
                  tensor.type == attributes.output_types[tensor.live_out];
         });
}

}  // namespace

std::unique_ptr<HandedOver> TakeFound(const CallPlan& plan, const Region& region,
                                      const RegionAttributes& attributes) {
  if (plan.handed_over == kNothingHandedOver) return nullptr;
  std::unique_ptr<HandedOver> found = HandOverTable::Process().Take(plan.handed_over);
  if (found == nullptr) {
    throw ort::Error(ort::ErrorCode::kFail,
                     "actcache: region \"" + attributes.region +
                         "\": what this call has found is not held any more, as the call "
                         "took far too long in between: " +
                         (plan.any_miss() ? "a hundred times as long as usual" : "ten minutes") +
                         " or longer; run it again");
  }
  if (!IsOf(region, attributes, *found) || found->computes != plan.any_miss()) {
    throw ort::Error(ort::ErrorCode::kInvalidArgument,
                     "actcache: region \"" + attributes.region +
                         "\": the plan is of another region. The model was changed after it was "
                         "compiled: change the original, and compile that");
  }
  return found;
}

void TellCopied(Region& region, const HandedOver& found, std::uint64_t copy_ns) {
  if (found.replayed) return;
  region.policy.CopiedOut(found.shape, found.entries.size(), copy_ns, found.looked_ns);
}

}  // namespace actcache
