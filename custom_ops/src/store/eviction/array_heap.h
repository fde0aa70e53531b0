// A heap in an array whose items know where they are, so that any of them can be taken out.
#ifndef ACTCACHE_STORE_EVICTION_ARRAY_HEAP_H_
#define ACTCACHE_STORE_EVICTION_ARRAY_HEAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "base/memory.h"

namespace actcache {

// Where an item is in its heap; kNoSlot: in none.
inline constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

// A min-heap with four children to a node. Item is trivially copyable and has
//   bool Before(const Item&) const   a strict order; may change for top(), see SinkTop()
//   void MoveTo(std::uint32_t slot) const   the heap has put it there (kNoSlot: taken it out)
// Borrows what the items point to. Only Reserve() allocates. Not thread-safe.
template <typename Item>
class ArrayHeap {
 public:
  ArrayHeap() = default;
  ~ArrayHeap() { Free(items_); }
  ArrayHeap(ArrayHeap&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ArrayHeap(const ArrayHeap&) = delete;
  ArrayHeap& operator=(const ArrayHeap&) = delete;

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  // REQUIRES: not empty.
  Item& top() noexcept { return items_[0]; }

  // Makes room for `count` items in all, and a sixteenth more; false if there is no memory for it.
  bool Reserve(std::size_t count) noexcept {
    if (count <= capacity_) return true;
    if (count >= kNoSlot) return false;
    return Resize(count + std::max<std::size_t>(count / 16, 8));
  }

  // Gives back the room of more than a quarter that `count` items leave unused, if it can.
  void Shrink(std::size_t count) noexcept {
    count = std::max(count, size_);
    if (capacity_ > 64 && count < capacity_ / 4 * 3) Resize(count + count / 16);
  }

  // REQUIRES: room was reserved.
  void Push(const Item& item) noexcept {
    items_[size_] = item;
    SiftUp(size_++);
  }

  // Takes out the item in `slot`. REQUIRES: slot < size().
  void Remove(std::uint32_t slot) noexcept {
    items_[slot].MoveTo(kNoSlot);
    const Item last = items_[--size_];
    if (slot == size_) return;
    items_[slot] = last;
    if (slot > 0 && last.Before(items_[Parent(slot)])) {
      SiftUp(slot);
    } else {
      SiftDown(slot);
    }
  }

  // The top has moved back in the order; nothing else has.
  void SinkTop() noexcept { SiftDown(0); }

 private:
  static_assert(std::is_trivially_copyable_v<Item>, "moved by assignment, never destroyed");
  static constexpr std::size_t kChildren = 4;
  static std::size_t Parent(std::size_t i) noexcept { return (i - 1) / kChildren; }

  bool Resize(std::size_t capacity) noexcept {
    auto* grown = static_cast<Item*>(Allocate(capacity * sizeof(Item)));
    if (grown == nullptr) return false;
    std::copy_n(items_, size_, grown);
    Free(items_);
    items_ = grown;
    capacity_ = capacity;
    return true;
  }

  void Put(std::size_t i, const Item& item) noexcept {
    items_[i] = item;
    item.MoveTo(static_cast<std::uint32_t>(i));
  }

  void SiftUp(std::size_t i) noexcept {
    const Item item = items_[i];
    while (i > 0 && item.Before(items_[Parent(i)])) {
      Put(i, items_[Parent(i)]);
      i = Parent(i);
    }
    Put(i, item);
  }

  void SiftDown(std::size_t i) noexcept {
    const Item item = items_[i];
    for (;;) {
      const std::size_t first = i * kChildren + 1;
      if (first >= size_) break;
      std::size_t least = first;
      const std::size_t end = std::min(first + kChildren, size_);
      for (std::size_t child = first + 1; child < end; ++child) {
        if (items_[child].Before(items_[least])) least = child;
      }
      if (!items_[least].Before(item)) break;
      Put(i, items_[least]);
      i = least;
    }
    Put(i, item);
  }

  Item* items_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_ARRAY_HEAP_H_
