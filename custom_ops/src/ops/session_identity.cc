#include "ops/session_identity.h"

#include <unistd.h>

#include <atomic>
#include <random>

#include "base/processor.h"

namespace actcache {
namespace {

// What no other session has, in this process or in another.
std::string Unique() {
  static std::atomic<std::uint64_t> made{0};
  std::random_device random;
  std::string text = std::to_string(getpid()) + "." + std::to_string(made.fetch_add(1));
  for (int i = 0; i < 8; ++i) text += "." + std::to_string(random());
  return text;
}

}  // namespace

Digest IdentityOfSession(const RegionAttributes& attributes, const SessionSettings& session,
                         const std::optional<std::string>& constants) {
  const bool complete = !session.model.empty() && constants && attributes.all_constants;
  return DigestOf({"actcache session 1", ACTCACHE_VERSION, session.runtime, ProcessorFeatures(),
                   attributes.fingerprint, session.value_entries, constants.value_or(""),
                   session.model, complete ? "" : Unique()});
}

}  // namespace actcache
