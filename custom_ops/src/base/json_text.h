// JSON as the library writes it.
#ifndef ACTCACHE_BASE_JSON_TEXT_H_
#define ACTCACHE_BASE_JSON_TEXT_H_

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string>

namespace actcache {

// `text` as a JSON string, quotes included. Control characters are escaped, other UTF-8 passes
// through, and each byte that is not UTF-8 becomes U+FFFD, as JSON has to be UTF-8.
std::string JsonString(const std::string& text);

// Writes the members of one object.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { *out_ += '{'; }
  ~JsonObject() { *out_ += '}'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  std::string* Member(const std::string& name) {
    if (!first_) *out_ += ", ";
    first_ = false;
    *out_ += JsonString(name) + ": ";
    return out_;
  }
  void Text(const char* name, const std::string& value) { *Member(name) += JsonString(value); }
  void TextOrNull(const char* name, const char* value) {
    *Member(name) += value != nullptr ? JsonString(value) : "null";
  }
  void Number(const char* name, std::uint64_t value) { *Member(name) += std::to_string(value); }
  // A finite number, in every locale with a point.
  void Real(const char* name, double value) {
    char text[32];
    Member(name)->append(text, std::to_chars(text, text + sizeof(text), value).ptr);
  }
  void Flag(const char* name, bool value) { *Member(name) += value ? "true" : "false"; }
  void Null(const char* name) { *Member(name) += "null"; }
  void Seconds(const char* name, std::uint64_t nanoseconds) {
    char text[40];
    // Integer arithmetic, so that no locale puts a comma where JSON wants a point.
    std::snprintf(text, sizeof(text), "%llu.%09llu",
                  static_cast<unsigned long long>(nanoseconds / 1000000000),
                  static_cast<unsigned long long>(nanoseconds % 1000000000));
    *Member(name) += text;
  }

 private:
  std::string* out_;
  bool first_ = true;
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_JSON_TEXT_H_
