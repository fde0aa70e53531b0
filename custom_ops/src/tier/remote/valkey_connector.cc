#include "tier/remote/valkey_connector.h"

#include <fstream>
#include <optional>
#include <string_view>

#include "tier/remote/socket.h"
#include "tier/remote/valkey_link.h"

namespace actcache {
namespace {

// The first line of a file, without the end of the line. Nothing if it cannot be read.
std::optional<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

// Which kind of server HELLO names: "standalone", "cluster", "sentinel"; empty if it does not say.
std::string_view ModeOf(const valkeyReply& hello) {
  if (hello.type != VALKEY_REPLY_ARRAY) return {};
  for (std::size_t i = 0; i + 1 < hello.elements; i += 2) {
    const valkeyReply& name = *hello.element[i];
    const valkeyReply& value = *hello.element[i + 1];
    if (name.type != VALKEY_REPLY_STRING || value.type != VALKEY_REPLY_STRING) continue;
    if (std::string_view(name.str, name.len) == "mode") return {value.str, value.len};
  }
  return {};
}

std::string SignInProblem(const valkeyReply& error, bool has_password) {
  if (HasCode(error, "WRONGPASS")) {
    return "the server does not accept the user and password of remote_url or "
           "remote_password_file (WRONGPASS)";
  }
  if (HasCode(error, "NOAUTH")) {
    return has_password ? "the server did not accept the password (NOAUTH)"
                        : "the server wants a password: set remote_password_file (NOAUTH)";
  }
  if (HasCode(error, "NOPERM")) return "the server's user may not do what is needed (NOPERM)";
  return {};
}

}  // namespace

std::unique_ptr<Link> ValkeyConnector::Connect(std::uint64_t deadline_ns,
                                               std::string* problem) noexcept {
  try {
    return TryConnect(deadline_ns, problem);
  } catch (...) {
    return nullptr;  // no memory
  }
}

std::unique_ptr<Link> ValkeyConnector::TryConnect(std::uint64_t deadline_ns,
                                                  std::string* problem) const {
  const int socket = ConnectSocket(server_.url, deadline_ns, problem);
  if (socket < 0) return nullptr;
  std::unique_ptr<ValkeyLink> link = ValkeyLink::Make(socket);
  if (link == nullptr) return nullptr;
  if (server_.url.kind == RemoteUrl::Kind::kTls &&
      !StartTls(link->connection(), server_.tls, server_.url.host, deadline_ns, problem)) {
    return nullptr;
  }
  if (!SignIn(link.get(), deadline_ns, problem)) return nullptr;
  return link;
}

bool ValkeyConnector::SignIn(ValkeyLink* link, std::uint64_t deadline_ns,
                             std::string* problem) const {
  std::string password = server_.url.password;
  if (!server_.password_file.empty()) {
    const std::optional<std::string> line = FirstLine(server_.password_file);
    if (!line) {
      *problem = "remote_password_file " + server_.password_file + " cannot be read";
      return false;
    }
    password = *line;
  }
  if (!Greet(link, password, deadline_ns, problem)) return false;
  if (server_.url.database == 0) return true;
  Reply reply;
  const std::string database = std::to_string(server_.url.database);
  const LinkResult selected = link->Call({"SELECT", database}, deadline_ns, &reply);
  if (selected == LinkResult::kAnswered) return true;
  *problem =
      selected == LinkResult::kRefused ? "the server has no database " + database : link->problem();
  return false;
}

bool ValkeyConnector::Greet(ValkeyLink* link, const std::string& password,
                            std::uint64_t deadline_ns, std::string* problem) const {
  const std::string user = server_.url.user.empty() ? "default" : server_.url.user;
  Reply reply;
  const LinkResult greeted =
      password.empty() ? link->Call({"HELLO", "2"}, deadline_ns, &reply)
                       : link->Call({"HELLO", "2", "AUTH", user, password}, deadline_ns, &reply);
  if (greeted == LinkResult::kAnswered) {
    const std::string_view mode = ModeOf(*reply);
    if (mode.empty() || mode == "standalone") return true;
    *problem = mode == "cluster"
                   ? "the server runs in cluster mode, which is not supported: name a server that "
                     "does not, or a proxy in front of the cluster"
                   : "the server keeps no values (it is a sentinel): name the one it watches";
    return false;
  }
  if (greeted != LinkResult::kRefused) {
    *problem = link->problem();
    return false;
  }
  // Servers before Redis 6 do not know the command.
  if (HasCode(*reply, "ERR")) return Authenticate(link, password, deadline_ns, problem);
  *problem = SignInProblem(*reply, !password.empty());
  if (problem->empty()) *problem = link->problem();
  return false;
}

bool ValkeyConnector::Authenticate(ValkeyLink* link, const std::string& password,
                                   std::uint64_t deadline_ns, std::string* problem) const {
  Reply reply;
  LinkResult answered = LinkResult::kAnswered;
  if (!password.empty()) {
    answered = server_.url.user.empty()
                   ? link->Call({"AUTH", password}, deadline_ns, &reply)
                   : link->Call({"AUTH", server_.url.user, password}, deadline_ns, &reply);
  }
  if (answered == LinkResult::kAnswered) answered = link->Call({"PING"}, deadline_ns, &reply);
  if (answered == LinkResult::kAnswered) return true;
  if (answered == LinkResult::kRefused) *problem = SignInProblem(*reply, !password.empty());
  if (problem->empty()) *problem = link->problem();
  return false;
}

}  // namespace actcache
