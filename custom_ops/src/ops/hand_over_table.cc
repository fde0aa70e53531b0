#include "ops/hand_over_table.h"

#include <algorithm>
#include <utility>

#include "base/process_object.h"
#include "hash/secret.h"

namespace actcache {
namespace {

ProcessObject<HandOverTable>& ProcessTable() noexcept {
  static ProcessObject<HandOverTable> table;
  return table;
}

// For how long a run may go on from one operator to the other.
std::uint64_t MostNs(const HandedOver& found) {
  if (!found.computes) return HandOverTable::kMostNs;
  if (found.computing_ns == 0) return HandOverTable::kDayNs;
  return std::min(HandOverTable::kDayNs,
                  HandOverTable::kMostNs + HandOverTable::kPatience * found.computing_ns);
}

}  // namespace

HandOverTable& HandOverTable::Process() noexcept { return ProcessTable().get(); }
void HandOverTable::ReplaceInForkedChild() noexcept { ProcessTable().Replace(); }

HandOverToken HandOverTable::Put(std::unique_ptr<HandedOver> found, const void* node,
                                 std::size_t most_bytes, std::uint64_t now_ns) noexcept {
  const std::size_t bytes = found->bytes;
  Dropped dropped;  // before the lock, so that it is let go after it
  const MutexLock lock(&mutex_);
  Slot* slot = Room(bytes, most_bytes);
  if (slot == nullptr) {
    DropInto(&dropped, [&](const Slot& other) {
      // Who put it may have come later than this call, and been given the lock before it.
      return now_ns > other.put_ns && now_ns - other.put_ns > MostNs(*other.found);
    });
    slot = Room(bytes, most_bytes);
  }
  if (slot == nullptr) return kNothingHandedOver;
  slot->token = DrawToken();
  if (slot->token == kNothingHandedOver) return kNothingHandedOver;
  slot->found = std::move(found);
  slot->bytes = bytes;
  slot->node = node;
  slot->thread = CurrentThread();
  slot->put_ns = now_ns;
  slot->plan = nullptr;
  bytes_ += bytes;
  count_.fetch_add(1, std::memory_order_relaxed);
  return slot->token;
}

void HandOverTable::Send(HandOverToken token, std::uint64_t call, std::uint64_t looked_ns,
                         const std::byte* plan, std::size_t bytes) noexcept {
  const MutexLock lock(&mutex_);
  Slot* const slot = SlotOf(token);
  if (slot == nullptr) return;
  slot->found->call = call;
  slot->found->looked_ns = looked_ns;
  slot->plan = plan;
  slot->plan_bytes = bytes;
}

std::unique_ptr<HandedOver> HandOverTable::Take(HandOverToken token) noexcept {
  const MutexLock lock(&mutex_);
  Slot* const slot = SlotOf(token);
  return slot == nullptr ? nullptr : Empty(slot);
}

void HandOverTable::EndOfPlansAt(const std::byte* memory, std::size_t bytes) noexcept {
  if (count() == 0 || bytes == 0) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  DropWhere([&](const Slot& slot) {
    const auto plan = reinterpret_cast<std::uintptr_t>(slot.plan);
    return plan < begin + bytes && begin < plan + slot.plan_bytes;
  });
}

void HandOverTable::EndOfNode(const void* node) noexcept {
  if (count() == 0) return;
  DropWhere([&](const Slot& slot) { return slot.node == node; });
}

void HandOverTable::EndOfRun(ThreadId thread, std::uint64_t begin_ns) noexcept {
  if (count() == 0 || thread.number == 0) return;  // 0: the system does not tell threads apart
  DropWhere([&](const Slot& slot) {
    return slot.thread.number == thread.number && slot.put_ns >= begin_ns;
  });
}

HandOverTable::Slot* HandOverTable::SlotOf(HandOverToken token) noexcept {
  if (token == kNothingHandedOver) return nullptr;
  auto* const slot = std::find_if(slots_.begin(), slots_.end(),
                                  [&](const Slot& each) { return each.token == token; });
  return slot == slots_.end() ? nullptr : slot;
}

std::unique_ptr<HandedOver> HandOverTable::Empty(Slot* slot) noexcept {
  slot->token = kNothingHandedOver;
  bytes_ -= slot->bytes;
  count_.fetch_sub(1, std::memory_order_relaxed);
  return std::move(slot->found);
}

template <typename Over>
void HandOverTable::DropWhere(const Over& over) noexcept {
  Dropped dropped;
  const MutexLock lock(&mutex_);
  DropInto(&dropped, over);
}

template <typename Over>
void HandOverTable::DropInto(Dropped* dropped, const Over& over) noexcept {
  std::size_t count = 0;
  for (Slot& slot : slots_) {
    if (slot.token != kNothingHandedOver && over(slot)) (*dropped)[count++] = Empty(&slot);
  }
}

HandOverTable::Slot* HandOverTable::Room(std::size_t bytes, std::size_t most_bytes) noexcept {
  if (bytes > most_bytes || bytes_ > most_bytes - bytes) return nullptr;
  auto* const slot = std::find_if(slots_.begin(), slots_.end(), [](const Slot& each) {
    return each.token == kNothingHandedOver;
  });
  return slot == slots_.end() ? nullptr : slot;
}

HandOverToken HandOverTable::DrawToken() noexcept {
  if (left_ == 0) {
    if (!DrawRandomBytes(reinterpret_cast<unsigned char*>(drawn_.data()), sizeof(drawn_))) {
      return kNothingHandedOver;
    }
    left_ = drawn_.size();
  }
  return drawn_[--left_];
}

}  // namespace actcache
