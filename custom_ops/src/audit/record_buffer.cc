#include "audit/record_buffer.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "base/memory.h"

namespace actcache {
namespace {

std::byte* Zeroed(std::size_t bytes) {
  void* const memory = std::calloc(bytes, 1);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

}  // namespace

RecordBuffer::RecordBuffer(std::size_t capacity)
    : capacity_(AlignUp(capacity, kWord)), ring_(Zeroed(capacity_)) {}

RecordBuffer::~RecordBuffer() { std::free(ring_); }

std::byte* RecordBuffer::Reserve(std::size_t bytes) noexcept {
  if (bytes > std::numeric_limits<std::uint32_t>::max() - 2 * kWord) return nullptr;
  const std::size_t needed = kWord + AlignUp(bytes, kWord);
  for (;;) {
    // The tail first: then the head that is read is not before it.
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::size_t left = capacity_ - head % capacity_;
    const std::size_t padding = needed > left ? left : 0;
    if (head + padding + needed - tail > capacity_) return nullptr;
    if (!head_.compare_exchange_weak(head, head + padding + needed, std::memory_order_relaxed)) {
      continue;
    }
    if (padding > 0) {
      WordAt(head).store(std::uint64_t{kPadding} << 32 | padding, std::memory_order_release);
    }
    return ring_ + (head + padding) % capacity_ + kWord;
  }
}

void RecordBuffer::Commit(std::byte* room, std::size_t bytes, std::uint32_t kind) noexcept {
  reinterpret_cast<Word*>(room - kWord)
      ->store(std::uint64_t{kind} << 32 | (kWord + AlignUp(bytes, kWord)),
              std::memory_order_release);
}

RecordBuffer::Record RecordBuffer::Front() noexcept {
  for (;;) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    Word& word = WordAt(tail);
    const std::uint64_t value = word.load(std::memory_order_acquire);
    if (value == 0) return {0, nullptr, 0};
    const std::uint64_t bytes = value & 0xffffffff;
    const auto kind = static_cast<std::uint32_t>(value >> 32);
    if (kind != kPadding) {
      return {kind, reinterpret_cast<const std::byte*>(&word) + kWord, bytes - kWord};
    }
    word.store(0, std::memory_order_relaxed);  // nothing else of the padding was written
    tail_.store(tail + bytes, std::memory_order_release);
  }
}

void RecordBuffer::Release() noexcept {
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  Word& word = WordAt(tail);
  const std::uint64_t bytes = word.load(std::memory_order_relaxed) & 0xffffffff;
  word.store(0, std::memory_order_relaxed);
  std::memset(reinterpret_cast<std::byte*>(&word) + kWord, 0, bytes - kWord);
  tail_.store(tail + bytes, std::memory_order_release);
}

}  // namespace actcache
