// Text of the audit log's lines, made a million rows a second.
#ifndef ACTCACHE_AUDIT_LINE_TEXT_H_
#define ACTCACHE_AUDIT_LINE_TEXT_H_

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace actcache {

// A growing text. What is appended has to fit the room that was made for it: the callers know how
// long their lines can be, so that nothing is checked number by number. Not thread-safe.
class LineText {
 public:
  std::string_view view() const { return {text_.get(), size_}; }
  std::size_t size() const { return size_; }
  void clear() { size_ = 0; }
  // Takes back what was appended since the text had `size` bytes.
  void Shorten(std::size_t size) { size_ = size; }

  // Makes room for `bytes` more. Throws std::bad_alloc.
  void Reserve(std::size_t bytes) {
    if (capacity_ - size_ >= bytes) return;
    const std::size_t capacity = 2 * (size_ + bytes);
    std::unique_ptr<char[]> text(new char[capacity]);
    if (size_ > 0) std::memcpy(text.get(), text_.get(), size_);
    text_ = std::move(text);
    capacity_ = capacity;
  }

  // REQUIRES, for the rest: room.
  void Append(std::string_view part) {
    std::memcpy(text_.get() + size_, part.data(), part.size());
    size_ += part.size();
  }
  void Append(char c) { text_[size_++] = c; }
  void AppendRepeated(char c, std::size_t count) {
    std::memset(text_.get() + size_, c, count);
    size_ += count;
  }

  static constexpr std::size_t kNumber = 20;  // digits and sign
  template <typename Integer>
  void AppendNumber(Integer number) {
    char* const begin = text_.get() + size_;
    size_ += static_cast<std::size_t>(std::to_chars(begin, begin + kNumber, number).ptr - begin);
  }

  // 16 hexadecimal digits.
  static constexpr std::size_t kHex = 16;
  void AppendHex(std::uint64_t number) {
    constexpr char kHexDigits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) Append(kHexDigits[(number >> shift) & 15]);
  }

  // A decimal point before the last `digits` digits.
  static constexpr std::size_t kDecimal = kNumber + 1;
  void AppendDecimal(std::uint64_t number, int digits) {
    std::uint64_t unit = 1;
    for (int i = 0; i < digits; ++i) unit *= 10;
    AppendNumber(number / unit);
    Append('.');
    for (std::uint64_t rest = number % unit; (unit /= 10) > 0; rest %= unit) {
      Append(static_cast<char>('0' + rest / unit));
    }
  }

 private:
  std::unique_ptr<char[]> text_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_LINE_TEXT_H_
