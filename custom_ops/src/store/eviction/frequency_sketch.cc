#include "store/eviction/frequency_sketch.h"

#include <algorithm>
#include <limits>

namespace actcache {

std::array<std::uint16_t, FrequencySketch::kProbes> FrequencySketch::Probe(
    const Key& key) noexcept {
  static_assert(kCounters <= std::size_t{1} << 16 && (kCounters & (kCounters - 1)) == 0, "a mask");
  // Multiplying mixes the words, for the shard and the key table use some of their bits.
  std::uint64_t mixed = (key.words[0] ^ (key.words[1] >> 32) ^ (key.words[1] << 32)) *
                        std::uint64_t{0x9E3779B97F4A7C15};
  mixed ^= mixed >> 29;
  std::array<std::uint16_t, kProbes> slots;
  for (std::uint16_t& slot : slots) {
    slot = static_cast<std::uint16_t>(mixed & (kCounters - 1));
    mixed >>= 16;
  }
  return slots;
}

void FrequencySketch::Add(const Key& key) noexcept {
  // Conservative: counters above the estimate were raised by other keys, and stay.
  Raise(key, static_cast<std::uint16_t>(Estimate(key) + 1));
  if (++adds_ == kPeriod) Halve();
}

void FrequencySketch::Raise(const Key& key, std::uint16_t uses) noexcept {
  const auto least = static_cast<std::uint8_t>(
      std::min<std::uint16_t>(uses, std::numeric_limits<std::uint8_t>::max()));
  for (const std::uint16_t slot : Probe(key)) counters_[slot] = std::max(counters_[slot], least);
}

std::uint16_t FrequencySketch::Estimate(const Key& key) const noexcept {
  std::uint8_t least = std::numeric_limits<std::uint8_t>::max();
  for (const std::uint16_t slot : Probe(key)) least = std::min(least, counters_[slot]);
  return least;
}

void FrequencySketch::Halve() noexcept {
  for (std::uint8_t& counter : counters_) counter = static_cast<std::uint8_t>(counter >> 1);
  adds_ = 0;
}

}  // namespace actcache
