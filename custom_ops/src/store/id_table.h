// Values by small ids.
#ifndef ACTCACHE_STORE_ID_TABLE_H_
#define ACTCACHE_STORE_ID_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/memory.h"

namespace actcache {

// An array that grows by doubling. Not thread-safe.
template <typename T>
class IdTable {
 public:
  IdTable() = default;
  ~IdTable() { Clear(); }
  IdTable(const IdTable&) = delete;
  IdTable& operator=(const IdTable&) = delete;

  // Ids below this have a value.
  std::uint32_t size() const noexcept { return size_; }

  // Gives `id`, and all below, a value if they have none: T(). False if there is no memory for it.
  bool Ensure(std::uint32_t id) noexcept {
    if (id < size_) return true;
    const std::size_t count =
        std::max<std::size_t>(AlignUp(std::size_t{id} + 1, 16), 2 * std::size_t{size_});
    auto* grown = static_cast<T*>(Allocate(count * sizeof(T)));
    if (grown == nullptr) return false;
    std::uninitialized_move_n(values_, size_, grown);
    std::uninitialized_value_construct_n(grown + size_, count - size_);
    Clear();
    values_ = grown;
    size_ = static_cast<std::uint32_t>(count);
    return true;
  }

  // REQUIRES: id < size().
  T& operator[](std::uint32_t id) noexcept { return values_[id]; }
  const T& operator[](std::uint32_t id) const noexcept { return values_[id]; }

  void Clear() noexcept {
    std::destroy_n(values_, size_);
    Free(values_);
    values_ = nullptr;
    size_ = 0;
  }

 private:
  T* values_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_ID_TABLE_H_
