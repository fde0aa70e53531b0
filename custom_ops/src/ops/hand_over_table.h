// What lookups have found and handed over, for the branch of the same call to copy.
//
// It is copied once that way: out of its entries straight into the model's output, which only an
// operator in the branch can write to: CacheFetch if nothing is missing, else CacheStore. Between
// the two operators the entries are held here, behind a token that travels in the plan. An entry
// never changes, and stays counted against the budget while it is held, so it does not matter what
// the store does meanwhile.
//
// What is handed over leaves the table
//   - when it is fetched;
//   - when its run is known to be over: the memory of its plan is given to another tensor that an
//     operator of this library writes, which it is not before onnxruntime has freed the plan; or
//     its session ends; or the host program says that a run has failed on the thread of its lookup
//     (actcache_abandon_run);
//   - if room is wanted, after ten minutes; if the region is computed in between, after a hundred
//     times as long as that usually takes, too. No run takes so long from one operator to the
//     other.
// Nothing else takes it away: where there is no room, a lookup copies what it found. So a run finds
// what was handed over to it in every mode of onnxruntime, on whatever threads, and what runs leave
// behind that were given up in between is bounded.
#ifndef ACTCACHE_OPS_HAND_OVER_TABLE_H_
#define ACTCACHE_OPS_HAND_OVER_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "flight/thread_activity.h"
#include "ops/found_units.h"
#include "policy/row_costs.h"
#include "store/entry_ref.h"
#include "units/call_plan.h"

namespace actcache {

// What was found of a call's results, and what is to be told of copying it.
struct HandedOver {
  std::uint32_t region = 0;          // the registry's number
  std::vector<FoundTensor> tensors;  // of those units that were found
  std::vector<EntryRef> entries;
  std::size_t bytes = 0;           // that the entries hold, as the store counts them
  Sources sources;                 // per unit: of which entry it is; only if nothing is missing
  bool computes = false;           // something is missing: it is computed before this is copied
  std::uint64_t computing_ns = 0;  // that it usually takes; 0: not known
  ShapeClass shape = 0;            // by which the policy keeps costs
  bool replayed = false;           // the policy is told nothing
  std::uint64_t call = 0;          // AuditLog's number; 0: the call is not in the log
  std::uint64_t looked_ns = 0;     // that the lookup took to copy the rest of what it found
};

// All methods are thread-safe, and none throws. Entries are let go outside of the lock.
class HandOverTable {
 public:
  static constexpr std::size_t kMost = 64;  // at one time
  static constexpr std::uint64_t kMostNs = std::uint64_t{600} * 1'000'000'000;
  // Where it is computed in between: so often what that usually takes, besides. At most, and if
  // nobody knows, for a day.
  static constexpr std::uint64_t kPatience = 100;
  static constexpr std::uint64_t kDayNs = 144 * kMostNs;

  HandOverTable() = default;
  HandOverTable(const HandOverTable&) = delete;
  HandOverTable& operator=(const HandOverTable&) = delete;

  // The one the operators share. Never destroyed.
  static HandOverTable& Process() noexcept;
  // What host/fork.h does. REQUIRES: no other thread.
  static void ReplaceInForkedChild() noexcept;

  // A token for it; kNothingHandedOver, and it is let go, if with it the table would hold more than
  // kMost or more than `most_bytes`. `node`: the lookup's. Times are SteadyNow()'s.
  HandOverToken Put(std::unique_ptr<HandedOver> found, const void* node, std::size_t most_bytes,
                    std::uint64_t now_ns) noexcept;
  // Says where the plan with the token lies, what the audit log calls the call, and how long the
  // lookup took to copy what it did not hand over. Nothing if it is gone.
  void Send(HandOverToken token, std::uint64_t call, std::uint64_t looked_ns, const std::byte* plan,
            std::size_t bytes) noexcept;
  // Takes it out; null if it is not there.
  std::unique_ptr<HandedOver> Take(HandOverToken token) noexcept;

  // Lets go of what belongs to runs that are over: whose plan lay where something else is written
  // now; whose session ends.
  void EndOfPlansAt(const std::byte* memory, std::size_t bytes) noexcept;
  void EndOfNode(const void* node) noexcept;
  // What lookups on `thread` have put since `begin_ns`. REQUIRES: no run that began on the thread
  // since then goes on. So nothing is taken from another run: with onnxruntime's parallel executor
  // lookups are on threads that no run began on.
  void EndOfRun(ThreadId thread, std::uint64_t begin_ns) noexcept;

  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    HandOverToken token = kNothingHandedOver;  // that: the slot is free
    std::unique_ptr<HandedOver> found;
    std::size_t bytes = 0;
    const void* node = nullptr;
    ThreadId thread;  // of the lookup
    std::uint64_t put_ns = 0;
    const std::byte* plan = nullptr;  // until it is sent: no other plan lies there
    std::size_t plan_bytes = 0;
  };
  using Dropped = std::array<std::unique_ptr<HandedOver>, kMost>;

  Slot* SlotOf(HandOverToken token) noexcept ACTCACHE_REQUIRES(mutex_);
  std::unique_ptr<HandedOver> Empty(Slot* slot) noexcept ACTCACHE_REQUIRES(mutex_);
  template <typename Over>
  void DropWhere(const Over& over) noexcept ACTCACHE_EXCLUDES(mutex_);
  template <typename Over>
  void DropInto(Dropped* dropped, const Over& over) noexcept ACTCACHE_REQUIRES(mutex_);
  Slot* Room(std::size_t bytes, std::size_t most_bytes) noexcept ACTCACHE_REQUIRES(mutex_);
  HandOverToken DrawToken() noexcept ACTCACHE_REQUIRES(mutex_);

  Mutex mutex_;
  std::array<Slot, kMost> slots_ ACTCACHE_GUARDED_BY(mutex_);
  std::size_t bytes_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::atomic<std::size_t> count_{0};  // written under the mutex
  // Random numbers, drawn ahead; the first `left_` are not used yet.
  std::array<HandOverToken, 32> drawn_ ACTCACHE_GUARDED_BY(mutex_){};
  std::size_t left_ ACTCACHE_GUARDED_BY(mutex_) = 0;
};

// What a lookup hands over, on the stack of its kernel: it is taken back unless it is sent.
class HandOver {
 public:
  HandOver() = default;
  ~HandOver() {
    if (token_ != kNothingHandedOver) HandOverTable::Process().Take(token_);
  }
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  // As HandOverTable::Put(); false if there is no room.
  bool Put(std::unique_ptr<HandedOver> found, const void* node, std::size_t most_bytes,
           std::uint64_t now_ns) noexcept {
    token_ = HandOverTable::Process().Put(std::move(found), node, most_bytes, now_ns);
    return made();
  }
  bool made() const { return token_ != kNothingHandedOver; }
  // As HandOverTable::Send(). Returns what the plan says; if nothing was put, that.
  HandOverToken Send(std::uint64_t call, std::uint64_t looked_ns, const std::byte* plan,
                     std::size_t bytes) noexcept {
    if (made()) HandOverTable::Process().Send(token_, call, looked_ns, plan, bytes);
    return std::exchange(token_, kNothingHandedOver);
  }

 private:
  HandOverToken token_ = kNothingHandedOver;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_HAND_OVER_TABLE_H_
