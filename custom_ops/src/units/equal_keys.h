// Finds equal keys of one call.
#ifndef ACTCACHE_UNITS_EQUAL_KEYS_H_
#define ACTCACHE_UNITS_EQUAL_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "units/keying.h"

namespace actcache {

// Few keys are compared one by one; many go through an open table of their numbers (a key is
// uniform already, so any word of it is a hash). Refers to the keys.
class EqualKeys {
 public:
  explicit EqualKeys(const Keys& keys) : keys_(keys) {
    if (keys.size() <= kLinear) return;
    std::size_t slots = 64;
    while (slots < 2 * keys.size()) slots *= 2;
    table_.assign(slots, 0);
  }

  // The first key that is equal to key `number`: `number` itself if there is none before it. Asked
  // in order, for each key once.
  std::size_t FirstEqual(std::size_t number) {
    if (table_.empty()) {
      std::size_t i = 0;
      while (keys_[i] != keys_[number]) ++i;
      return i;
    }
    const std::size_t mask = table_.size() - 1;
    for (std::size_t slot = keys_[number].words[1] & mask;; slot = (slot + 1) & mask) {
      if (table_[slot] == 0) {
        table_[slot] = static_cast<std::uint32_t>(number) + 1;
        return number;
      }
      if (keys_[table_[slot] - 1] == keys_[number]) return table_[slot] - 1;
    }
  }

 private:
  static constexpr std::size_t kLinear = 16;
  const Keys& keys_;
  std::vector<std::uint32_t> table_;  // number + 1, or 0
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_EQUAL_KEYS_H_
