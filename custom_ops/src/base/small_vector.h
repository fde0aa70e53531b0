// A vector of plain values whose first N live inside the object, so that the shapes and row lists
// of a small call cost no allocation. Only what the operators need.
#ifndef ACTCACHE_BASE_SMALL_VECTOR_H_
#define ACTCACHE_BASE_SMALL_VECTOR_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

namespace actcache {

template <typename T, std::size_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T>, "elements are copied as bytes");

 public:
  SmallVector() = default;
  SmallVector(std::initializer_list<T> values) { Assign(values.begin(), values.size()); }
  explicit SmallVector(std::size_t size, T value = T{}) { resize(size, value); }
  SmallVector(const SmallVector& other) { Assign(other.data(), other.size()); }
  SmallVector(SmallVector&& other) noexcept
      : inline_(other.inline_),
        heap_(std::move(other.heap_)),
        capacity_(std::exchange(other.capacity_, N)),
        size_(std::exchange(other.size_, 0)) {}
  ~SmallVector() = default;
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) Assign(other.data(), other.size());
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this == &other) return *this;
    inline_ = other.inline_;
    heap_ = std::move(other.heap_);
    capacity_ = std::exchange(other.capacity_, N);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  T* data() { return heap_ ? heap_.get() : inline_.data(); }
  const T* data() const { return heap_ ? heap_.get() : inline_.data(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

  void clear() { size_ = 0; }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    capacity = std::max(capacity, 2 * capacity_);
    std::unique_ptr<T[]> heap(new T[capacity]);
    std::copy(begin(), end(), heap.get());
    heap_ = std::move(heap);
    capacity_ = capacity;
  }

  void resize(std::size_t size, T value = T{}) {
    reserve(size);
    if (size > size_) std::fill(data() + size_, data() + size, value);
    size_ = size;
  }

  void push_back(T value) {
    reserve(size_ + 1);
    data()[size_++] = value;
  }

  void insert(std::size_t at, T value) {
    push_back(value);
    std::rotate(begin() + at, end() - 1, end());
  }

  void erase(std::size_t at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    --size_;
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend bool operator!=(const SmallVector& a, const SmallVector& b) { return !(a == b); }

 private:
  void Assign(const T* values, std::size_t size) {
    size_ = 0;
    reserve(size);
    std::copy(values, values + size, data());
    size_ = size;
  }

  std::array<T, N> inline_;
  std::unique_ptr<T[]> heap_;
  std::size_t capacity_ = N;
  std::size_t size_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_SMALL_VECTOR_H_
