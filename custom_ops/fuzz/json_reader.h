// A strict reader of JSON (RFC 8259), to hold what the library writes against. It knows as much as
// is needed for that: texts come out decoded, of objects also the names; of numbers only that they
// are.
#ifndef ACTCACHE_FUZZ_JSON_READER_H_
#define ACTCACHE_FUZZ_JSON_READER_H_

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace actcache::fuzz {

// A text, a number or a word (as it is written), or an object. Arrays are not written, so not read.
struct Json {
  std::string text;
  std::map<std::string, Json> members;
};

// Whether `text` is UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF.
inline bool IsUtf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
    if (size == 0 || i + size > text.size()) return false;
    std::uint32_t code = size == 1 ? lead : lead & (0xffu >> (size + 1));
    for (std::size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    if (size == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return false;
    if (size == 4 && (code < 0x10000 || code > 0x10ffff)) return false;
    i += size;
  }
  return true;
}

class JsonReader {
 public:
  // Nothing if `text` is not one JSON value, or if a member of an object is there twice.
  static std::optional<Json> Read(const std::string& text) {
    if (!IsUtf8(text)) return std::nullopt;
    JsonReader reader(text);
    Json json;
    if (!reader.ReadValue(&json) || reader.at_ != text.size()) return std::nullopt;
    return json;
  }

 private:
  explicit JsonReader(const std::string& text) : text_(text) {}

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void SkipSpaces() {
    while (Peek() == ' ' || Peek() == '\n' || Peek() == '\t' || Peek() == '\r') ++at_;
  }

  bool ReadValue(Json* json) {
    SkipSpaces();
    const bool read = Peek() == '{'   ? ReadObject(json)
                      : Peek() == '"' ? ReadText(&json->text)
                      : std::isalpha(static_cast<unsigned char>(Peek())) != 0
                          ? ReadWord(&json->text)
                          : ReadNumber(&json->text);
    SkipSpaces();
    return read;
  }

  bool ReadObject(Json* json) {
    Take('{');
    SkipSpaces();
    if (Take('}')) return true;
    do {
      SkipSpaces();
      std::string name;
      if (!ReadText(&name)) return false;
      SkipSpaces();
      if (!Take(':')) return false;
      const auto [member, is_new] = json->members.emplace(name, Json());
      if (!is_new || !ReadValue(&member->second)) return false;
    } while (Take(','));
    return Take('}');
  }

  bool ReadWord(std::string* text) {
    for (const char* word : {"null", "true", "false"}) {
      *text = word;
      if (text_.compare(at_, text->size(), *text) != 0) continue;
      at_ += text->size();
      return true;
    }
    return false;
  }

  bool ReadDigits() {
    const std::size_t begin = at_;
    while (std::isdigit(static_cast<unsigned char>(Peek())) != 0) ++at_;
    return at_ > begin;
  }

  bool ReadNumber(std::string* text) {
    const std::size_t begin = at_;
    Take('-');
    if (!Take('0') && !ReadDigits()) return false;
    if (Take('.') && !ReadDigits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!ReadDigits()) return false;
    }
    *text = text_.substr(begin, at_ - begin);
    return true;
  }

  bool ReadText(std::string* text) {
    if (!Take('"')) return false;
    while (at_ < text_.size() && Peek() != '"') {
      const char c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        *text += c;
      } else if (!ReadEscape(text)) {
        return false;
      }
    }
    return Take('"');
  }

  // Of \u only what is ASCII: the library writes all else as it is.
  bool ReadEscape(std::string* text) {
    if (Take('"')) return *text += '"', true;
    if (Take('\\')) return *text += '\\', true;
    if (!Take('u') || at_ + 4 > text_.size()) return false;
    const std::string digits = text_.substr(at_, 4);
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return false;
    const auto code = std::strtoul(digits.c_str(), nullptr, 16);
    if (code >= 0x80) return false;
    *text += static_cast<char>(code);
    at_ += 4;
    return true;
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

}  // namespace actcache::fuzz

#endif  // ACTCACHE_FUZZ_JSON_READER_H_
