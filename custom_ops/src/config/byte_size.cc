#include "config/byte_size.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

namespace actcache {
namespace {

constexpr std::string_view kBlank = " \t\r\n\v\f";
constexpr std::string_view kDigits = "0123456789";

std::string Trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::size_t DigitsEnd(const std::string& text, std::size_t from) {
  return std::min(text.find_first_not_of(kDigits, from), text.size());
}

// A decimal number without sign or exponent.
struct Decimal {
  std::uint64_t whole = 0;
  double fraction = 0;  // below 1
};

// Takes `digits` or `digits.digits` from the front of `text`.
std::optional<Decimal> TakeDecimal(std::string* text) {
  Decimal number;
  std::size_t end = DigitsEnd(*text, 0);
  if (std::from_chars(text->data(), text->data() + end, number.whole).ec != std::errc()) {
    return std::nullopt;
  }
  if (end < text->size() && (*text)[end] == '.') {
    const std::size_t point = end;
    end = DigitsEnd(*text, point + 1);
    if (end == point + 1) return std::nullopt;
    std::from_chars(text->data() + point, text->data() + end, number.fraction);
  }
  text->erase(0, end);
  return number;
}

std::optional<std::uint64_t> UnitBytes(const std::string& unit) {
  std::string lower;
  for (const char c : unit) lower += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower.empty() || lower == "b") return 1;
  if (lower == "kib") return std::uint64_t{1} << 10;
  if (lower == "mib") return std::uint64_t{1} << 20;
  if (lower == "gib") return std::uint64_t{1} << 30;
  if (lower == "tib") return std::uint64_t{1} << 40;
  return std::nullopt;
}

std::optional<std::uint64_t> ShareOf(std::uint64_t whole, const Decimal& percent) {
  const double share = (static_cast<double>(percent.whole) + percent.fraction) / 100;
  if (share > 1) return std::nullopt;
  if (share == 1) return whole;  // which a double may not hold
  return static_cast<std::uint64_t>(static_cast<double>(whole) * share);
}

}  // namespace

std::optional<std::uint64_t> ParseByteSize(const std::string& text, std::uint64_t whole) {
  std::string rest = Trimmed(text);
  const std::optional<Decimal> number = TakeDecimal(&rest);
  if (!number) return std::nullopt;
  rest = Trimmed(rest);
  if (rest == "%") return ShareOf(whole, *number);
  const std::optional<std::uint64_t> unit = UnitBytes(rest);
  if (!unit) return std::nullopt;
  const auto below_one = static_cast<std::uint64_t>(number->fraction * static_cast<double>(*unit));
  if (number->whole > (std::numeric_limits<std::uint64_t>::max() - below_one) / *unit) {
    return std::nullopt;
  }
  return number->whole * *unit + below_one;
}

}  // namespace actcache
