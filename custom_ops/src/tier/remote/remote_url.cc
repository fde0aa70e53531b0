#include "tier/remote/remote_url.h"

#include <sys/un.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace actcache {
namespace {

constexpr char kHidden[] = "***";

struct Scheme {
  std::string_view prefix;
  RemoteUrl::Kind kind;
};

constexpr Scheme kSchemes[] = {{"redis://", RemoteUrl::Kind::kTcp},
                               {"valkey://", RemoteUrl::Kind::kTcp},
                               {"rediss://", RemoteUrl::Kind::kTls},
                               {"valkeys://", RemoteUrl::Kind::kTls},
                               {"unix://", RemoteUrl::Kind::kUnix}};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing if a "%" is not followed by two hexadecimal digits, or stands for a zero byte.
std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

template <typename Number>
bool ReadNumber(std::string_view text, Number* number) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && stop == text.data() + text.size();
}

// Takes what stands before the last "@" off the rest.
const char* ReadUser(std::string_view* rest, RemoteUrl* url) {
  const std::size_t at = rest->rfind('@');
  if (at == std::string_view::npos) return nullptr;
  const std::string_view account = rest->substr(0, at);
  const std::size_t colon = account.find(':');
  const std::optional<std::string> user = Decode(account.substr(0, colon));
  std::optional<std::string> password = std::string();
  if (colon != std::string_view::npos) password = Decode(account.substr(colon + 1));
  if (!user || !password) {
    return "has a \"%\" in its user or password that is not followed by two hexadecimal digits";
  }
  url->user = *user;
  url->password = *password;
  rest->remove_prefix(at + 1);
  return nullptr;
}

const char* ReadSocket(std::string_view rest, RemoteUrl* url) {
  const std::size_t mark = rest.find('?');
  if (mark != std::string_view::npos) {
    const std::string_view option = rest.substr(mark + 1);
    if (option.substr(0, 3) != "db=" || !ReadNumber(option.substr(3), &url->database)) {
      return "has an option that is not db=NUMBER";
    }
    rest = rest.substr(0, mark);
  }
  const std::optional<std::string> path = Decode(rest);
  if (!path || path->empty() || path->front() != '/') {
    return "names no socket with an absolute path, as unix:///run/valkey.sock does";
  }
  if (path->size() >= sizeof(sockaddr_un::sun_path)) {
    return "names a socket whose path is too long for the system (107 bytes)";
  }
  url->path = *path;
  return nullptr;
}

const char* ReadHost(std::string_view rest, RemoteUrl* url) {
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view database = rest.substr(slash + 1);
    if (!database.empty() && !ReadNumber(database, &url->database)) {
      return "has a database behind the \"/\" that is no number";
    }
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return "has a \"[\" without a \"]\"";
    port = rest.substr(close + 1);
    rest = rest.substr(1, close - 1);
  } else if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    port = rest.substr(colon);
    rest = rest.substr(0, colon);
  }
  if (rest.empty()) return "names no host";
  if (rest.find_first_of(" \t\r\n%?#") != std::string_view::npos) {
    return "has a host with a character that no host has";
  }
  url->host = rest;
  if (port.empty()) return nullptr;
  if (port.front() != ':' || !ReadNumber(port.substr(1), &url->port) || url->port == 0) {
    return "has a port that is no number from 1 to 65535";
  }
  return nullptr;
}

}  // namespace

const char* ParseRemoteUrl(const std::string& text, RemoteUrl* url) {
  if (text.find('\0') != std::string::npos) return "has a zero byte";
  for (const Scheme& scheme : kSchemes) {
    if (text.compare(0, scheme.prefix.size(), scheme.prefix) != 0) continue;
    std::string_view rest(text);
    rest.remove_prefix(scheme.prefix.size());
    RemoteUrl read;
    read.kind = scheme.kind;
    if (const char* const problem = ReadUser(&rest, &read)) return problem;
    const char* const problem =
        scheme.kind == RemoteUrl::Kind::kUnix ? ReadSocket(rest, &read) : ReadHost(rest, &read);
    if (problem == nullptr) *url = read;
    return problem;
  }
  return "begins with none of redis://, valkey://, rediss://, valkeys:// and unix://";
}

std::string ShownRemoteUrl(const std::string& text) {
  if (text.empty()) return text;
  RemoteUrl url;
  if (ParseRemoteUrl(text, &url) != nullptr) return kHidden;
  if (url.password.empty()) return text;
  const std::size_t account = text.find("://") + 3;
  const std::size_t colon = text.find(':', account);
  const std::size_t at = text.rfind('@');
  return text.substr(0, colon + 1) + kHidden + text.substr(at);
}

}  // namespace actcache
