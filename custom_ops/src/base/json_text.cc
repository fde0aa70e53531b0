#include "base/json_text.h"

#include "base/utf8.h"

namespace actcache {

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = Utf8CharacterBytes(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    if (size == 0) {
      out += kReplacementCharacter;
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[at];
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", byte);
      out += escape;
    } else {
      out.append(text, at, size);
    }
    at += size == 0 ? 1 : size;
  }
  out += '"';
  return out;
}

}  // namespace actcache
