#include "tier/write_queue.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/clock.h"
#include "base/signals_blocked.h"

namespace actcache {
namespace {

constexpr std::uint64_t kMaintenancePeriodNs = 1'000'000'000;
// One turn writes about so much: what is added meanwhile has to find room.
constexpr std::size_t kTurnBytes = std::size_t{4} << 20;
constexpr std::size_t kTurnItems = 256;

}  // namespace

bool WriteQueue::HasRoom(std::size_t bytes) noexcept {
  const MutexLock lock(&mutex_);
  if (!stopping_ && bytes <= room_bytes_ - std::min(room_bytes_, bytes_)) return true;
  ++dropped_;
  return false;
}

void WriteQueue::Put(Record record, bool replace) noexcept {
  const TierKey key = record.fields().key;
  Add({key, std::move(record), replace});
}

void WriteQueue::Promote(Record record) noexcept {
  const TierKey key = record.fields().key;
  const MutexLock lock(&mutex_);
  if (AddWithin(room_bytes_ / 2, {key, std::move(record), /*remove=*/false})) ++promoted_;
}

void WriteQueue::Remove(const TierKey& key) noexcept { Add({key, Record(), true}); }

void WriteQueue::Start() noexcept {
  if (started_.load(std::memory_order_relaxed)) return;
  const MutexLock lock(&mutex_);
  if (stopping_) return;
  try {
    StartThread();
  } catch (...) {
    // No memory, no thread; the next time, maybe.
  }
}

void WriteQueue::StartThread() {
  if (thread_ != nullptr) return;
  const SignalsBlocked blocked;
  thread_ = std::make_unique<std::thread>([this] { Run(); });
  started_.store(true, std::memory_order_relaxed);
}

void WriteQueue::Add(Item item) noexcept {
  const MutexLock lock(&mutex_);
  if (!AddWithin(room_bytes_, std::move(item))) ++dropped_;
}

bool WriteQueue::AddWithin(std::size_t room_bytes, Item item) noexcept {
  const std::size_t bytes = item.record ? item.record.size() : sizeof(Item);
  if (stopping_ || bytes > room_bytes - std::min(room_bytes, bytes_)) return false;
  try {
    StartThread();
    items_.push_back(std::move(item));
    bytes_ += bytes;
    wake_.NotifyAll();
    return true;
  } catch (...) {
    return false;  // no memory, no thread
  }
}

std::vector<WriteQueue::Item> WriteQueue::Take() noexcept {
  std::vector<Item> taken;
  const MutexLock lock(&mutex_);
  if (items_.empty() && !stopping_) wake_.WaitFor(&mutex_, kMaintenancePeriodNs);
  try {
    taken.reserve(std::min(items_.size(), kTurnItems));
    std::size_t bytes = 0;
    while (!items_.empty() && taken.size() < kTurnItems && bytes < kTurnBytes) {
      bytes += items_.front().record ? items_.front().record.size() : 0;
      taken.push_back(std::move(items_.front()));
      items_.pop_front();
    }
  } catch (...) {
    // No memory; later, maybe.
  }
  writing_ = !taken.empty();
  return taken;
}

void WriteQueue::Write(std::vector<Item>* items) noexcept {
  std::vector<Record> records;
  std::vector<TierKey> removed;
  std::size_t bytes = 0;
  try {
    records.reserve(items->size());
    removed.reserve(items->size());
    const auto put = [&] {
      if (!removed.empty()) tier_.Remove(removed.data(), removed.size());
      if (!records.empty()) tier_.Put(records.data(), records.size());
      removed.clear();
      records.clear();
    };
    for (Item& item : *items) {
      bytes += item.record ? item.record.size() : sizeof(Item);
      // A removal takes effect after what was added before it.
      if (item.remove && !records.empty()) put();
      if (item.remove) removed.push_back(item.key);
      if (!item.record) continue;
      item.record.Seal(tier_.secret());
      records.push_back(std::move(item.record));
    }
    put();
  } catch (...) {
    // No memory for the lists: the values are lost.
  }
  const MutexLock lock(&mutex_);
  bytes_ -= std::min(bytes_, bytes);
  writing_ = false;
  done_.NotifyAll();
}

void WriteQueue::Run() noexcept {
  // A thread that waits for a disk is woken often; it must not take the processor from one that has
  // just handed it a value.
  const sched_param none{};
  pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
  std::uint64_t maintained_ns = 0;
  for (;;) {
    std::vector<Item> items = Take();
    if (!items.empty()) Write(&items);
    const std::uint64_t now = SteadyNow();
    bool stop = false;
    {
      const MutexLock lock(&mutex_);
      stop = stopping_ && items_.empty();
    }
    if (stop || now - maintained_ns >= kMaintenancePeriodNs) {
      tier_.Maintain();
      maintained_ns = now;
    }
    if (!stop) continue;
    const MutexLock lock(&mutex_);
    stopped_ = true;
    done_.NotifyAll();
    return;
  }
}

bool WriteQueue::Flush(std::uint64_t patience_ns) noexcept {
  const MutexLock lock(&mutex_);
  const std::uint64_t end = SteadyNow() + patience_ns;
  for (std::uint64_t now; !items_.empty() || writing_; done_.WaitFor(&mutex_, end - now)) {
    now = SteadyNow();
    if (now >= end) return false;
  }
  return true;
}

bool WriteQueue::Finish(std::uint64_t patience_ns) noexcept {
  std::unique_ptr<std::thread> thread;
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
    if (thread_ == nullptr) return true;
    wake_.NotifyAll();
    const std::uint64_t end = SteadyNow() + patience_ns;
    for (std::uint64_t now; !stopped_; done_.WaitFor(&mutex_, end - now)) {
      now = SteadyNow();
      if (now >= end) return false;
    }
    thread = std::move(thread_);
  }
  thread->join();
  return true;
}

WriteQueueStats WriteQueue::stats() const noexcept {
  const MutexLock lock(&mutex_);
  return {bytes_, dropped_, promoted_};
}

void WriteQueue::ResetInForkedChild() noexcept {
  new (&mutex_) Mutex;
  new (&wake_) Condition;
  new (&done_) Condition;
  const MutexLock lock(&mutex_);
  items_.clear();
  bytes_ = 0;
  writing_ = false;
  // The child does not have the thread; its object must not be destroyed.
  [[maybe_unused]] const std::thread* const parents = thread_.release();
  started_.store(false, std::memory_order_relaxed);
}

}  // namespace actcache
