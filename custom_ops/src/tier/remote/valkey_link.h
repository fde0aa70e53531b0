// A link (link.h) to a Valkey or Redis server, through libvalkey.
#ifndef ACTCACHE_TIER_REMOTE_VALKEY_LINK_H_
#define ACTCACHE_TIER_REMOTE_VALKEY_LINK_H_

#include <valkey/valkey.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tier/remote/link.h"
#include "tier/remote/tls.h"

namespace actcache {

struct FreeReply {
  void operator()(valkeyReply* reply) const noexcept { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<valkeyReply, FreeReply>;

// Whether the server's error begins with this code ("WRONGPASS", "MOVED").
bool HasCode(const valkeyReply& error, std::string_view code) noexcept;

class ValkeyLink final : public Link {
 public:
  // Takes a connected socket that does not block. Null if there is no memory; the socket is closed
  // then.
  static std::unique_ptr<ValkeyLink> Make(int socket) noexcept;

  bool Idle() noexcept override;
  LinkResult Get(const std::string* keys, std::size_t count, std::size_t most_bytes,
                 std::uint64_t deadline_ns, Buffer* values) noexcept override;
  LinkResult Exist(const std::string* keys, std::size_t count, std::uint64_t deadline_ns,
                   bool* there) noexcept override;
  LinkResult Set(const LinkItem* items, std::size_t count, std::uint64_t deadline_ns,
                 std::size_t* kept) noexcept override;
  LinkResult Delete(const std::string* keys, std::size_t count,
                    std::uint64_t deadline_ns) noexcept override;
  const std::string& problem() const noexcept override { return problem_; }

  // Any command. `reply` is what the server said, also if that is an error (kRefused).
  LinkResult Call(std::initializer_list<std::string_view> command, std::uint64_t deadline_ns,
                  Reply* reply) noexcept;

  // The client's connection, for TLS.
  valkeyContext* connection() noexcept { return connection_.get(); }

 private:
  struct Free {
    void operator()(valkeyContext* connection) const noexcept { FreeConnection(connection); }
  };
  using Connection = std::unique_ptr<valkeyContext, Free>;

  explicit ValkeyLink(Connection connection) noexcept : connection_(std::move(connection)) {}

  // Bytes of a command, to be sent. False if there is no memory.
  bool Queue(std::string_view bytes) noexcept;
  bool QueueCommand(const std::string_view* words, std::size_t count) noexcept;
  // A command of a word and one key, for each of the keys; sends them.
  LinkResult SendForEach(std::string_view word, const std::string* keys, std::size_t count,
                         std::uint64_t deadline_ns) noexcept;
  LinkResult QueueItem(const LinkItem& item, std::uint64_t deadline_ns);
  // Sends what is queued.
  LinkResult Flush(std::uint64_t deadline_ns) noexcept;
  // The next reply, of at most `most_bytes`.
  LinkResult Read(std::size_t most_bytes, std::uint64_t deadline_ns, Reply* reply) noexcept;
  // The next `count` replies, each given to `take`, which says whether it is of a kind that answers
  // the command. Errors of the server make it kRefused.
  template <typename Take>
  LinkResult ReadAll(std::size_t count, std::size_t most_bytes, std::uint64_t deadline_ns,
                     const Take& take) noexcept;

  LinkResult Lost(const char* what) noexcept;
  LinkResult Late() noexcept;
  LinkResult Refused(const valkeyReply& error) noexcept;
  // The client's own words, else `otherwise`.
  LinkResult LostByClient(const char* otherwise) noexcept;
  void SetProblem(std::string_view text) noexcept;

  const Connection connection_;
  std::size_t queued_ = 0;  // bytes since the last Flush()
  std::string problem_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_VALKEY_LINK_H_
