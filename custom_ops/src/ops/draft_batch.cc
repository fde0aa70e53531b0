#include "ops/draft_batch.h"

#include <algorithm>

namespace actcache {
namespace {

// Much enough to keep several threads busy, and little beside what the store holds.
std::size_t MostBytes(const StoreStats& stats) {
  constexpr std::size_t kMost = std::size_t{16} << 20;
  constexpr std::size_t kShare = 16;
  const std::size_t quota = stats.namespace_quota_bytes;
  const std::size_t room = quota == 0 ? stats.budget_bytes : std::min(quota, stats.budget_bytes);
  return std::min(kMost, room / kShare);
}

}  // namespace

DraftBatch::DraftBatch(Store& store, const ComputedUnits& units, const Parallel& parallel)
    : store_(store), units_(units), parallel_(parallel), most_bytes_(MostBytes(store.stats())) {}

void DraftBatch::Add(std::size_t unit, Draft draft) {
  items_.push_back({unit, std::move(draft)});
  bytes_ += units_.unit_bytes(unit);
}

void DraftBatch::Fill() {
  const std::size_t parts = units_.parts();
  std::vector<void*> places(items_.size() * parts);
  for (std::size_t n = 0; n < items_.size(); ++n) items_[n].draft.AllData(&places[n * parts]);
  units_.CopyTo(
      items_.size(), [&](std::size_t n) { return items_[n].unit; },
      [&](std::size_t n, std::size_t i) { return static_cast<std::byte*>(places[n * parts + i]); },
      parallel_);
}

}  // namespace actcache
