#include "policy/origins.h"

namespace actcache {

Origins& Origins::Process() {
  // Never destroyed, as the store. Made when the library is loaded.
  static auto* const origins = new Origins;
  return *origins;
}

Origins::~Origins() {
  for (const std::atomic<Page*>& page : pages_) delete page.load(std::memory_order_relaxed);
}

Origin Origins::Of(const Digest& identity) {
  if (identity == Digest{}) return kNone;
  const MutexLock lock(&mutex_);
  const auto known = origins_.find(identity);
  if (known != origins_.end()) return known->second;
  if (next_ == kNone) return kNone;
  std::atomic<Page*>& page = pages_[next_ / kPage];
  if (page.load(std::memory_order_relaxed) == nullptr) {
    page.store(new Page, std::memory_order_release);
  }
  origins_.emplace(identity, next_);
  Member& member = At(next_);
  member.identity = identity;
  member.in_class.store(next_, std::memory_order_relaxed);
  return next_++;
}

Digest Origins::IdentityOf(Origin origin) noexcept {
  const MutexLock lock(&mutex_);
  return origin < next_ ? At(origin).identity : Digest{};
}

void Origins::Agree(Origin mine, Origin other) noexcept {
  const MutexLock lock(&mutex_);
  if (mine >= next_ || other >= next_ || IsApart(mine) || IsApart(other)) return;
  const Origin to = ClassOf(other);
  if (ClassOf(mine) == to) return;
  Member& member = At(mine);
  if (member.compared_with != to) member.equal_rows = 0;
  member.compared_with = to;
  // What was compared with a member of the one class holds for all of both.
  if (++member.equal_rows >= kProof) Move(ClassOf(mine), to, kNone);
}

bool Origins::KeepApart(Origin mine) noexcept {
  const MutexLock lock(&mutex_);
  if (mine >= next_ || At(mine).apart.exchange(true, std::memory_order_relaxed)) return false;
  // A class may be called after its member that leaves.
  for (Origin origin = 0; origin < next_; ++origin) {
    if (origin == mine || ClassOf(origin) != mine) continue;
    Move(mine, origin, mine);
    break;
  }
  At(mine).in_class.store(mine, std::memory_order_relaxed);
  return true;
}

void Origins::Move(Origin from, Origin to, Origin left_out) noexcept {
  for (Origin origin = 0; origin < next_; ++origin) {
    if (origin == left_out || ClassOf(origin) != from) continue;
    At(origin).in_class.store(to, std::memory_order_relaxed);
  }
}

}  // namespace actcache
