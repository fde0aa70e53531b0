// Where a remote tier's server is, and as whom to sign in.
//
//   redis://[[user][:password]@]host[:port][/database]     also valkey://
//   rediss://...                                           the same with TLS; also valkeys://
//   unix://[[user][:password]@]/path/to/socket[?db=database]
//
// In user, password and path a "%" and two hexadecimal digits stand for a byte. An IPv6 address is
// written in brackets.
#ifndef ACTCACHE_TIER_REMOTE_REMOTE_URL_H_
#define ACTCACHE_TIER_REMOTE_REMOTE_URL_H_

#include <cstdint>
#include <string>

namespace actcache {

struct RemoteUrl {
  enum class Kind : std::uint8_t { kTcp, kTls, kUnix };

  Kind kind = Kind::kTcp;
  std::string host;  // not of kUnix
  std::uint16_t port = 6379;
  std::string path;      // of kUnix
  std::string user;      // "": the server's default user
  std::string password;  // "": none
  std::uint32_t database = 0;
};

// Reads `text`. Null if it is such an address; else what is wrong with it, as the end of a sentence
// that begins "the address". The reason never holds a part of the text: it may be a password.
const char* ParseRemoteUrl(const std::string& text, RemoteUrl* url);

// For people: the address with "***" in the place of a password. For a text that is no address,
// "***" alone.
std::string ShownRemoteUrl(const std::string& text);

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_REMOTE_URL_H_
