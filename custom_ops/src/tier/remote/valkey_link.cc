#include "tier/remote/valkey_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <new>
#include <utility>

#include "tier/remote/pipe_signal_held.h"
#include "tier/remote/socket.h"

namespace actcache {
namespace {

// More is sent in pieces: the client copies what it sends, and moves the rest after each write.
constexpr std::size_t kPieceBytes = 256 << 10;
// Of what comes before a value is complete: the protocol's own bytes, and what is read at once.
constexpr std::size_t kSlackBytes = 2 << 20;
// A server has no reason to nest replies, or to send long lists: what we ask for has neither.
constexpr int kMostDepth = 8;
constexpr long long kMostElements = 1024;
constexpr std::size_t kMostReplyBytes = 64 << 10;  // of replies that hold no value

// "$5\r\nvalue" without the value and the end of the line.
std::string Header(std::size_t bytes) { return "$" + std::to_string(bytes) + "\r\n"; }

// The code that an error of the server begins with. Its text may repeat what was sent, passwords
// included.
std::string_view CodeOf(const valkeyReply& error) noexcept {
  const std::string_view text(error.str, error.len);
  std::size_t size = 0;
  while (size < text.size() && size < 32 && std::isupper(static_cast<unsigned char>(text[size]))) {
    ++size;
  }
  return text.substr(0, size);
}

}  // namespace

bool HasCode(const valkeyReply& error, std::string_view code) noexcept {
  return CodeOf(error) == code;
}

std::unique_ptr<ValkeyLink> ValkeyLink::Make(int socket) noexcept {
  valkeyOptions options{};
  options.type = VALKEY_CONN_USERFD;
  options.options = VALKEY_OPT_NONBLOCK;
  options.endpoint.fd = socket;
  Connection connection(valkeyConnectWithOptions(&options));
  if (connection == nullptr || connection->err != 0) {
    if (connection == nullptr || connection->fd != socket) close(socket);
    return nullptr;
  }
  connection->reader->maxdepth = kMostDepth;
  connection->reader->maxelements = kMostElements;
  return std::unique_ptr<ValkeyLink>(new (std::nothrow) ValkeyLink(std::move(connection)));
}

bool ValkeyLink::Idle() noexcept {
  char byte;
  const ssize_t read = recv(connection_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return read < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

LinkResult ValkeyLink::Get(const std::string* keys, std::size_t count, std::size_t most_bytes,
                           std::uint64_t deadline_ns, Buffer* values) noexcept {
  const PipeSignalHeld held;
  const LinkResult sent = SendForEach("GET", keys, count, deadline_ns);
  if (sent != LinkResult::kAnswered) return sent;
  Buffer* next = values;
  return ReadAll(count, most_bytes, deadline_ns, [&](const valkeyReply& reply) {
    Buffer* const value = next++;
    if (reply.type == VALKEY_REPLY_NIL) return true;
    // A key of another kind: something is there, and it is no value of ours.
    const bool other = reply.type == VALKEY_REPLY_ERROR && HasCode(reply, "WRONGTYPE");
    if (!other && reply.type != VALKEY_REPLY_STRING) return false;
    *value = Buffer::Copy(reply.str, reply.len);
    return true;
  });
}

LinkResult ValkeyLink::SendForEach(std::string_view word, const std::string* keys,
                                   std::size_t count, std::uint64_t deadline_ns) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const std::array<std::string_view, 2> words = {word, keys[i]};
    if (!QueueCommand(words.data(), words.size())) return Lost("no memory");
  }
  return Flush(deadline_ns);
}

LinkResult ValkeyLink::Exist(const std::string* keys, std::size_t count, std::uint64_t deadline_ns,
                             bool* there) noexcept {
  const PipeSignalHeld held;
  const LinkResult sent = SendForEach("EXISTS", keys, count, deadline_ns);
  if (sent != LinkResult::kAnswered) return sent;
  bool* next = there;
  return ReadAll(count, kMostReplyBytes, deadline_ns, [&](const valkeyReply& reply) {
    if (reply.type != VALKEY_REPLY_INTEGER) return false;
    *next++ = reply.integer != 0;
    return true;
  });
}

LinkResult ValkeyLink::Set(const LinkItem* items, std::size_t count, std::uint64_t deadline_ns,
                           std::size_t* kept) noexcept {
  const PipeSignalHeld held;
  *kept = 0;
  try {
    for (std::size_t i = 0; i < count; ++i) {
      const LinkResult sent = QueueItem(items[i], deadline_ns);
      if (sent != LinkResult::kAnswered) return sent;
    }
  } catch (...) {
    return Lost("no memory");
  }
  if (const LinkResult sent = Flush(deadline_ns); sent != LinkResult::kAnswered) return sent;
  return ReadAll(count, kMostReplyBytes, deadline_ns, [&](const valkeyReply& reply) {
    // NIL: the key was there before.
    if (reply.type != VALKEY_REPLY_STATUS && reply.type != VALKEY_REPLY_NIL) return false;
    ++*kept;
    return true;
  });
}

LinkResult ValkeyLink::Delete(const std::string* keys, std::size_t count,
                              std::uint64_t deadline_ns) noexcept {
  const PipeSignalHeld held;
  const LinkResult sent = SendForEach("DEL", keys, count, deadline_ns);
  if (sent != LinkResult::kAnswered) return sent;
  return ReadAll(count, kMostReplyBytes, deadline_ns,
                 [](const valkeyReply& reply) { return reply.type == VALKEY_REPLY_INTEGER; });
}

LinkResult ValkeyLink::Call(std::initializer_list<std::string_view> command,
                            std::uint64_t deadline_ns, Reply* reply) noexcept {
  const PipeSignalHeld held;
  if (!QueueCommand(command.begin(), command.size())) return Lost("no memory");
  if (const LinkResult sent = Flush(deadline_ns); sent != LinkResult::kAnswered) return sent;
  const LinkResult read = Read(kMostReplyBytes, deadline_ns, reply);
  if (read != LinkResult::kAnswered) return read;
  return (*reply)->type == VALKEY_REPLY_ERROR ? Refused(**reply) : LinkResult::kAnswered;
}

bool ValkeyLink::Queue(std::string_view bytes) noexcept {
  queued_ += bytes.size();
  return valkeyAppendFormattedCommand(connection_.get(), bytes.data(), bytes.size()) == VALKEY_OK;
}

bool ValkeyLink::QueueCommand(const std::string_view* words, std::size_t count) noexcept {
  constexpr std::size_t kMostWords = 8;
  std::array<const char*, kMostWords> texts;
  std::array<std::size_t, kMostWords> sizes;
  for (std::size_t i = 0; i < count; ++i) {
    texts[i] = words[i].data();
    sizes[i] = words[i].size();
  }
  return valkeyAppendCommandArgv(connection_.get(), static_cast<int>(count), texts.data(),
                                 sizes.data()) == VALKEY_OK;
}

// SET key value NX PX ttl, in pieces.
LinkResult ValkeyLink::QueueItem(const LinkItem& item, std::uint64_t deadline_ns) {
  const std::string ttl = std::to_string(item.ttl_ms);
  std::string head = "*6\r\n$3\r\nSET\r\n" + Header(item.key.size());
  head.append(item.key).append("\r\n").append(Header(item.value.size()));
  if (!Queue(head)) return Lost("no memory");
  std::string_view rest = item.value;
  while (!rest.empty()) {
    const std::string_view piece = rest.substr(0, kPieceBytes);
    if (!Queue(piece)) return Lost("no memory");
    rest.remove_prefix(piece.size());
    if (queued_ < kPieceBytes) continue;
    if (const LinkResult sent = Flush(deadline_ns); sent != LinkResult::kAnswered) return sent;
  }
  const std::string tail =
      "\r\n$2\r\nNX\r\n$2\r\nPX\r\n" + Header(ttl.size()).append(ttl).append("\r\n");
  return Queue(tail) ? LinkResult::kAnswered : Lost("no memory");
}

LinkResult ValkeyLink::Flush(std::uint64_t deadline_ns) noexcept {
  while (true) {
    int done = 0;
    if (valkeyBufferWrite(connection_.get(), &done) != VALKEY_OK) {
      return LostByClient("the connection broke");
    }
    if (done != 0) {
      queued_ = 0;
      return LinkResult::kAnswered;
    }
    if (!AwaitSocket(connection_->fd, POLLOUT, deadline_ns)) return Late();
  }
}

LinkResult ValkeyLink::Read(std::size_t most_bytes, std::uint64_t deadline_ns,
                            Reply* reply) noexcept {
  while (true) {
    void* read = nullptr;
    if (valkeyGetReplyFromReader(connection_.get(), &read) != VALKEY_OK) {
      return LostByClient("what the server sent is not its protocol");
    }
    if (read != nullptr) {
      reply->reset(static_cast<valkeyReply*>(read));
      return LinkResult::kAnswered;
    }
    const valkeyReader& reader = *connection_->reader;
    if (reader.len - reader.pos > most_bytes + kSlackBytes) {
      return Lost("the server sent more than was asked for");
    }
    // What was read is used up, also of a TLS record, which the client reads as a whole: the rest
    // is in the socket, or comes.
    if (!AwaitSocket(connection_->fd, POLLIN, deadline_ns)) return Late();
    if (valkeyBufferRead(connection_.get()) != VALKEY_OK) {
      return LostByClient("the connection broke");
    }
  }
}

template <typename Take>
LinkResult ValkeyLink::ReadAll(std::size_t count, std::size_t most_bytes, std::uint64_t deadline_ns,
                               const Take& take) noexcept {
  LinkResult result = LinkResult::kAnswered;
  for (std::size_t i = 0; i < count; ++i) {
    Reply reply;
    const LinkResult read = Read(most_bytes, deadline_ns, &reply);
    if (read != LinkResult::kAnswered) return read;
    if (take(*reply)) continue;
    if (reply->type != VALKEY_REPLY_ERROR) return Lost("the server answered something else");
    result = Refused(*reply);
  }
  return result;
}

LinkResult ValkeyLink::Lost(const char* what) noexcept {
  SetProblem(what);
  return LinkResult::kLost;
}

LinkResult ValkeyLink::Late() noexcept {
  SetProblem("the server did not answer in time");
  return LinkResult::kLate;
}

LinkResult ValkeyLink::Refused(const valkeyReply& error) noexcept {
  try {
    const std::string code(CodeOf(error));
    const bool cluster = code == "MOVED" || code == "ASK" || code == "CLUSTERDOWN";
    problem_ = cluster         ? "the server is a part of a cluster, which is not supported"
               : code == "OOM" ? "the server is full"
                               : "the server refuses";
    if (!code.empty()) problem_ += " (" + code + ")";
  } catch (...) {
  }
  return LinkResult::kRefused;
}

LinkResult ValkeyLink::LostByClient(const char* otherwise) noexcept {
  // Of protocol errors the client's words repeat a byte of the server's; of others they are the
  // system's.
  const bool system = connection_->err == VALKEY_ERR_IO || connection_->err == VALKEY_ERR_EOF;
  return Lost(system && connection_->errstr[0] != '\0' ? connection_->errstr : otherwise);
}

void ValkeyLink::SetProblem(std::string_view text) noexcept {
  try {
    problem_ = text;
  } catch (...) {
  }
}

}  // namespace actcache
