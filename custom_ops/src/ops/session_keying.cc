#include "ops/session_keying.h"

#include <utility>

#include "ops/session_identity.h"

namespace actcache {
namespace {

// What no other kernel's keys have.
std::string PrivateSalt() {
  static std::atomic<std::uint64_t> made{0};
  return "kernel " + std::to_string(made.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

struct SessionKeying::Keyings {
  ExactKeying blake3;
  ExactKeying xxh3;
};

SessionKeying::SessionKeying(const RegionAttributes& attributes, const Cut& cut,
                             const SessionSettings& session,
                             std::shared_ptr<SessionConstants> constants)
    : attributes_(attributes), cut_(cut), session_(session), constants_(std::move(constants)) {}

SessionKeying::~SessionKeying() { delete own_.load(std::memory_order_relaxed); }

SessionKeying::Keyings* SessionKeying::Make(const std::string& agreed, KeyScope scope) const {
  const KeyIdentity identity{attributes_.fingerprint, session_.name_space,
                             attributes_.namespace_input >= 0, agreed, scope};
  return new Keyings{{HashKind::kBlake3, identity, cut_, attributes_.output_types},
                     {HashKind::kXxh3, identity, cut_, attributes_.output_types}};
}

SessionKeying::Keyings* SessionKeying::MakeShared(const KernelIo& io) const {
  const std::optional<std::string> constants = constants_->DigestOf(attributes_);
  if (!constants) {
    io.Warn("actcache: region \"" + attributes_.region +
            "\": onnxruntime does not show all constants of this session, so it shares no "
            "entries with others");
  }
  origin_.store(Origins::Process().Of(IdentityOfSession(attributes_, session_, constants)),
                std::memory_order_relaxed);
  const bool shares = session_.shares && constants.has_value() && origin() != Origins::kNone;
  // Framed, as the digests are bytes of any kind.
  return Make(std::to_string(session_.value_entries.size()) + ":" + session_.value_entries +
                  (shares ? *constants : PrivateSalt()),
              shares ? KeyScope::kShared : KeyScope::kProcess);
}

const SessionKeying::Keyings& SessionKeying::Own() const {
  const Keyings* own = own_.load(std::memory_order_acquire);
  if (own != nullptr) return *own;
  std::unique_ptr<const Keyings> made(
      Make(session_.value_entries + PrivateSalt(), KeyScope::kProcess));
  if (own_.compare_exchange_strong(own, made.get(), std::memory_order_acq_rel)) {
    own = made.release();
  }
  return *own;
}

const Keying& SessionKeying::Of(HashKind hash, const KernelIo& io) const {
  std::call_once(made_, [&] {
    keyings_.reset(MakeShared(io));
    constants_->ReleasePages();
  });
  const bool apart = origin() != Origins::kNone && Origins::Process().IsApart(origin());
  const Keyings& chosen = apart ? Own() : *keyings_;
  return hash == HashKind::kXxh3 ? chosen.xxh3 : chosen.blake3;
}

}  // namespace actcache
