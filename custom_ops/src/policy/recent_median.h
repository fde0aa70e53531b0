// What a measurement that is disturbed now and then usually gives.
#ifndef ACTCACHE_POLICY_RECENT_MEDIAN_H_
#define ACTCACHE_POLICY_RECENT_MEDIAN_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace actcache {

// The (lower) median of the last kSamples values: a thread that lost its processor for a while, or
// a first call that fills caches, moves it by one rank at most, and it follows a lasting change
// within a few samples. Not thread-safe.
class RecentMedian {
 public:
  static constexpr std::size_t kSamples = 7;

  void Add(double value) noexcept {
    samples_[next_] = static_cast<float>(value);
    next_ = static_cast<std::uint8_t>((next_ + 1) % kSamples);
    if (count_ < kSamples) ++count_;
  }

  std::size_t count() const noexcept { return count_; }

  // 0 as long as there is no sample.
  double value() const noexcept {
    if (count_ == 0) return 0;
    std::array<float, kSamples> sorted = samples_;
    auto* const middle = sorted.data() + (count_ - 1) / 2;
    std::nth_element(sorted.data(), middle, sorted.data() + count_);
    return static_cast<double>(*middle);
  }

 private:
  std::array<float, kSamples> samples_{};
  std::uint8_t next_ = 0;
  std::uint8_t count_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_RECENT_MEDIAN_H_
