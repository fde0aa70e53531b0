#include "ops/session_keying.h"

#include <utility>

#include "base/processor.h"
#include "config/config.h"
#include "hash/digest.h"
#include "hash/secret.h"
#include "ops/session_identity.h"
#include "units/chained_keying.h"
#include "units/exact_keying.h"

namespace actcache {
namespace {

std::unique_ptr<const Keying> MakeKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
                                         const ElementTypes& types) {
  if (cut.chained()) return std::make_unique<ChainedKeying>(hash, identity, cut, types);
  return std::make_unique<ExactKeying>(hash, identity, cut, types);
}

// What no other kernel's keys have.
std::string PrivateSalt() {
  static std::atomic<std::uint64_t> made{0};
  return "kernel " + std::to_string(made.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

struct SessionKeying::Keyings {
  std::uint64_t generation = 0;  // of the secret
  std::unique_ptr<const Keying> blake3;
  std::unique_ptr<const Keying> xxh3;
  bool complete = true;  // whether onnxruntime shows all constants
  bool proven = true;    // whether they are those that the proof of the units rests on
};

SessionKeying::SessionKeying(const RegionAttributes& attributes, const Cut& cut,
                             const SessionSettings& session,
                             std::shared_ptr<SessionConstants> constants)
    : attributes_(attributes), cut_(cut), session_(session), constants_(std::move(constants)) {}

SessionKeying::~SessionKeying() = default;

std::unique_ptr<SessionKeying::Keyings> SessionKeying::Make(const std::string& agreed,
                                                            KeyScope scope) const {
  const KeyIdentity identity{attributes_.fingerprint, session_.name_space,
                             attributes_.namespace_input >= 0, agreed, scope};
  auto made = std::make_unique<Keyings>();
  // First the generation: should the secret change meanwhile, they are made once more.
  made->generation = SecretGeneration();
  made->blake3 = MakeKeying(HashKind::kBlake3, identity, cut_, attributes_.output_types);
  made->xxh3 = MakeKeying(HashKind::kXxh3, identity, cut_, attributes_.output_types);
  return made;
}

std::unique_ptr<SessionKeying::Keyings> SessionKeying::MakeShared() const {
  const std::optional<std::string> constants = constants_->DigestOf(attributes_);
  origin_.store(Origins::Process().Of(IdentityOfSession(attributes_, session_, constants)),
                std::memory_order_relaxed);
  const bool shares = session_.shares && constants.has_value() && origin() != Origins::kNone;
  // Other processors round otherwise. Who accepts that still has their first results compared.
  const Digest platform = DigestOf(
      {session_.runtime, Config::Process().portable() ? std::string() : ProcessorFeatures()});
  // Framed, as the digests are bytes of any kind.
  std::unique_ptr<Keyings> made = Make(
      std::to_string(session_.value_entries.size()) + ":" + session_.value_entries +
          std::string(platform.begin(), platform.end()) + (shares ? *constants : PrivateSalt()),
      shares ? KeyScope::kShared : KeyScope::kProcess);
  made->complete = constants.has_value();
  made->proven = constants_->AreAsAssumed(attributes_);
  return made;
}

std::unique_ptr<SessionKeying::Keyings> SessionKeying::MakeOwn() const {
  return Make(session_.value_entries + PrivateSalt(), KeyScope::kProcess);
}

bool SessionKeying::IsCurrent(const Keyings* keyings) {
  return keyings != nullptr && keyings->generation == SecretGeneration();
}

const SessionKeying::Keyings& SessionKeying::Current(std::atomic<const Keyings*>* kept,
                                                     const KernelIo& io) const {
  const Keyings* const there = kept->load(std::memory_order_acquire);
  if (IsCurrent(there)) return *there;
  const auto [now, made] = Renewed(kept);
  if (made && !now.complete) {
    io.Warn("actcache: region \"" + attributes_.region +
            "\": onnxruntime does not show all constants of this session, so it shares no "
            "entries with others");
  }
  if (made && !now.proven) {
    io.Warn("actcache: region \"" + attributes_.region +
            "\": this session replaces constants that its proof rests on, such as axes and shapes, "
            "so it caches nothing; compile a model that has the new ones");
  }
  return now;
}

std::pair<const SessionKeying::Keyings&, bool> SessionKeying::Renewed(
    std::atomic<const Keyings*>* kept) const {
  const MutexLock lock(&renewing_);
  const Keyings* const now = kept->load(std::memory_order_relaxed);
  if (IsCurrent(now)) return {*now, false};
  made_.reserve(made_.size() + 1);
  made_.push_back(kept == &own_ ? MakeOwn() : MakeShared());
  constants_->ReleasePages();
  kept->store(made_.back().get(), std::memory_order_release);
  return {*made_.back(), true};
}

bool SessionKeying::ProofHolds(const KernelIo& io) const { return Current(&shared_, io).proven; }

const Keying& SessionKeying::Of(HashKind hash, bool tiers, const KernelIo& io) const {
  const Keyings* chosen = &Current(&shared_, io);  // who the session is is known from now on
  const bool apart = origin() != Origins::kNone && Origins::Process().IsApart(origin());
  if (apart) chosen = &Current(&own_, io);
  const bool leave = tiers && chosen->blake3->scope() == KeyScope::kShared;
  return hash == HashKind::kXxh3 && !leave ? *chosen->xxh3 : *chosen->blake3;
}

}  // namespace actcache
