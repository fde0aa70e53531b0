#include "policy/first_sight.h"

#include <algorithm>

namespace actcache {

double FirstSight::most() const noexcept { return std::min(kMostCalls * largest_, kMostNs); }

void FirstSight::Saved(double saved) noexcept {
  credit_ = std::clamp(credit_ + saved, std::min(credit_, 0.0), most());
}

void FirstSight::Stored(double took, double share, double hit_saves) noexcept {
  largest_ = std::max(largest_, took);
  if (calls_ < kFreeCalls) {
    ++calls_;
    return;
  }
  credit_ -= took;
  if (credit_ >= -kDebtHits * std::max(0.0, hit_saves)) return;
  credit_ = 0;
  if (share > kSmallShare) stores_ = false;
}

bool FirstSight::Repeats(double would_save, double would_take) noexcept {
  const double gain = credit_ + would_save - kCaution * would_take;
  credit_ = std::clamp(gain, 0.0, most());
  stores_ = gain > 0;
  return stores_;
}

}  // namespace actcache
