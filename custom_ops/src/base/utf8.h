// Which bytes of a text are UTF-8.
#ifndef ACTCACHE_BASE_UTF8_H_
#define ACTCACHE_BASE_UTF8_H_

#include <cstddef>
#include <string_view>

namespace actcache {

// What stands for a byte that is not UTF-8: U+FFFD.
inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

// The bytes of the UTF-8 character that begins at `at`; 0 if none does (Unicode 15, table 3-7: no
// overlong forms, no surrogates, nothing above U+10FFFF). REQUIRES: at < text.size().
std::size_t Utf8CharacterBytes(std::string_view text, std::size_t at) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_BASE_UTF8_H_
