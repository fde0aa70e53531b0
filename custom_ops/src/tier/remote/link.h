// One connection to a server of values, and who makes them.
#ifndef ACTCACHE_TIER_REMOTE_LINK_H_
#define ACTCACHE_TIER_REMOTE_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tier/buffer.h"

namespace actcache {

enum class LinkResult : std::uint8_t {
  kAnswered,  // everything was answered
  kRefused,   // answered, but with an error; the link is as good as before
  kLate,      // not by the deadline. The link is of no more use: the rest would come later
  kLost,      // broken, or what came is not the protocol; of no more use
};

inline bool Usable(LinkResult result) noexcept {
  return result == LinkResult::kAnswered || result == LinkResult::kRefused;
}

// A value to keep. Does not own its bytes.
struct LinkItem {
  std::string_view key;
  std::string_view value;
  std::uint64_t ttl_ms;
};

// Of one thread at a time. Nothing throws. Deadlines are of the maker's clock.
class Link {
 public:
  virtual ~Link() = default;

  // Whether it waits for a command: false once the server has closed it, or has sent something that
  // nobody asked for. Never waits.
  virtual bool Idle() noexcept = 0;

  // Asks for all keys at once. Sets values[i] to what the server has under keys[i], empty where it
  // has nothing. At kLate and kLost those stand that came before. A value of more than `most_bytes`
  // is kLost. REQUIRES: `values` has `count` empty buffers.
  virtual LinkResult Get(const std::string* keys, std::size_t count, std::size_t most_bytes,
                         std::uint64_t deadline_ns, Buffer* values) noexcept = 0;

  // Sets there[i] to whether the server has keys[i]. REQUIRES: `there` has `count` false ones.
  virtual LinkResult Exist(const std::string* keys, std::size_t count, std::uint64_t deadline_ns,
                           bool* there) noexcept = 0;

  // Keeps the items whose keys the server has not, sent at once. Sets `kept` to how many are there
  // now.
  virtual LinkResult Set(const LinkItem* items, std::size_t count, std::uint64_t deadline_ns,
                         std::size_t* kept) noexcept = 0;

  virtual LinkResult Delete(const std::string* keys, std::size_t count,
                            std::uint64_t deadline_ns) noexcept = 0;

  // Why the last command was not answered, for the user; it never holds a secret, nor any text that
  // the server has sent, but for the code that its errors begin with.
  virtual const std::string& problem() const noexcept = 0;
};

// Thread-safe.
class Connector {
 public:
  virtual ~Connector() = default;

  // A link that is signed in and has its database. Null and a problem, as above, if there is none
  // by the deadline; looking the host's name up may take longer.
  virtual std::unique_ptr<Link> Connect(std::uint64_t deadline_ns,
                                        std::string* problem) noexcept = 0;

  // So that a child made by fork() finds nothing half done: nobody connects between the two.
  virtual void LockForFork() noexcept {}
  virtual void UnlockAfterFork() noexcept {}
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_LINK_H_
