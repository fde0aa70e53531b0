// The queue between the threads that run models and the one that writes the audit log.
#ifndef ACTCACHE_AUDIT_RECORD_BUFFER_H_
#define ACTCACHE_AUDIT_RECORD_BUFFER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actcache {

// A ring of bytes for records of any length; any number of producers, one consumer. A producer
// reserves room with one compare-and-swap, fills it in place, and commits it: it takes no lock,
// allocates nothing and never waits. A record that does not fit is refused. Records come out in the
// order of their reservations, each once it is committed.
//
// Each record is preceded by a word with its size and kind, which is 0 until the commit; what was
// consumed is cleared, so that the word of the next record there is 0 as well. A record does not
// wrap: the rest of the ring before it is filled with a record of padding.
class RecordBuffer {
 public:
  // `capacity` is rounded up to a multiple of 8. Throws std::bad_alloc.
  explicit RecordBuffer(std::size_t capacity);
  ~RecordBuffer();
  RecordBuffer(const RecordBuffer&) = delete;
  RecordBuffer& operator=(const RecordBuffer&) = delete;

  // Producers, on any thread. Room for `bytes`, 8-byte aligned, or null. What is reserved has to be
  // committed, and soon: the consumer waits for it.
  std::byte* Reserve(std::size_t bytes) noexcept;
  // `room` and `bytes` are those of Reserve(). `kind` is below kPadding.
  static void Commit(std::byte* room, std::size_t bytes, std::uint32_t kind) noexcept;

  // The consumer, one thread at a time.
  struct Record {
    std::uint32_t kind;
    const std::byte* data;  // null: there is none yet
    std::size_t bytes;      // rounded up to a multiple of 8
  };
  // The oldest record, which stays until Release().
  Record Front() noexcept;
  // REQUIRES: Front() has returned a record since the last Release().
  void Release() noexcept;

  static constexpr std::uint32_t kPadding = 0xffffffff;

 private:
  using Word = std::atomic<std::uint64_t>;  // kind << 32 | bytes, its own 8 included
  static_assert(sizeof(Word) == 8 && Word::is_always_lock_free);
  static constexpr std::size_t kWord = sizeof(Word);

  Word& WordAt(std::uint64_t position) const noexcept {
    return *reinterpret_cast<Word*>(ring_ + position % capacity_);
  }

  // Bytes ever reserved, and ever released; on different cache lines.
  alignas(64) std::atomic<std::uint64_t> head_{0};
  const std::size_t capacity_;
  std::byte* const ring_;
  alignas(64) std::atomic<std::uint64_t> tail_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_RECORD_BUFFER_H_
