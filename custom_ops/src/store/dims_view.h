// The dimensions of a cached tensor, as its entry keeps them.
#ifndef ACTCACHE_STORE_DIMS_VIEW_H_
#define ACTCACHE_STORE_DIMS_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "store/varint.h"

namespace actcache {

// A range of std::int64_t that is decoded as it is read. Points into the entry.
class DimsView {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::int64_t;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::int64_t*;
    using reference = std::int64_t;

    Iterator(const unsigned char* at, std::size_t left) noexcept : at_(at), left_(left) {}
    std::int64_t operator*() const noexcept {
      const unsigned char* at = at_;
      return static_cast<std::int64_t>(ReadVarint(&at));
    }
    Iterator& operator++() noexcept {
      ReadVarint(&at_);
      --left_;
      return *this;
    }
    bool operator==(const Iterator& other) const noexcept { return left_ == other.left_; }
    bool operator!=(const Iterator& other) const noexcept { return left_ != other.left_; }

   private:
    const unsigned char* at_;
    std::size_t left_;
  };

  DimsView(const unsigned char* at, std::size_t dimensions) noexcept : rank(dimensions), at_(at) {}
  Iterator begin() const noexcept { return {at_, rank}; }
  Iterator end() const noexcept { return {at_, 0}; }

  const std::size_t rank;

 private:
  const unsigned char* at_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_DIMS_VIEW_H_
