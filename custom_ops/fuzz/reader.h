// Reads numbers and texts off the bytes that a fuzzer invents.
#ifndef ACTCACHE_FUZZ_READER_H_
#define ACTCACHE_FUZZ_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace actcache::fuzz {

// Past the end everything is 0 and empty, so that every input means something. Does not own the
// bytes.
class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  bool empty() const { return left_ == 0; }

  template <typename Integer>
  Integer Number() {
    Integer value = 0;
    const std::size_t size = std::min(left_, sizeof(value));
    if (size > 0) std::memcpy(&value, data_, size);
    Skip(size);
    return value;
  }

  // A number below `bound`, off one byte. REQUIRES: 0 < bound <= 256.
  std::size_t Below(std::size_t bound) { return Number<std::uint8_t>() % bound; }

  // Up to `longest` (at most 255) bytes, after a byte that says how many.
  std::string Text(std::size_t longest) {
    const std::size_t size = std::min({std::size_t{Number<std::uint8_t>()}, longest, left_});
    std::string text(reinterpret_cast<const char*>(data_), size);
    Skip(size);
    return text;
  }

  // All that is left.
  std::string Rest() {
    std::string text(reinterpret_cast<const char*>(data_), left_);
    Skip(left_);
    return text;
  }

 private:
  void Skip(std::size_t size) {
    data_ += size;
    left_ -= size;
  }

  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace actcache::fuzz

#endif  // ACTCACHE_FUZZ_READER_H_
