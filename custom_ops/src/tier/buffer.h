// Bytes with an owner, whose size is known only when they are needed.
#ifndef ACTCACHE_TIER_BUFFER_H_
#define ACTCACHE_TIER_BUFFER_H_

#include <cstddef>
#include <cstring>
#include <utility>

#include "base/memory.h"

namespace actcache {

// Move-only. Aligned as Allocate() says.
class Buffer {
 public:
  Buffer() = default;
  // Uninitialised bytes; empty if there is no memory.
  explicit Buffer(std::size_t size) noexcept
      : data_(static_cast<std::byte*>(size == 0 ? nullptr : Allocate(size))),
        size_(data_ == nullptr ? 0 : size) {}
  // A copy of `size` bytes; empty if there is no memory.
  static Buffer Copy(const void* from, std::size_t size) noexcept {
    Buffer buffer(size);
    if (buffer.size_ != 0) std::memcpy(buffer.data_, from, size);
    return buffer;
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) Free(data_);
  }

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_BUFFER_H_
