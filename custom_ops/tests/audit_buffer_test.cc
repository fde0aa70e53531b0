// RecordBuffer: what goes in comes out, in order, or is refused; with several producers too.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "audit/record_buffer.h"

namespace actcache {
namespace {

bool Put(RecordBuffer* buffer, const std::string& text, std::uint32_t kind = 0) {
  std::byte* const room = buffer->Reserve(text.size());
  if (room == nullptr) return false;
  std::memcpy(room, text.data(), text.size());
  RecordBuffer::Commit(room, text.size(), kind);
  return true;
}

// The oldest record with the zeros that fill its last word, taken out; "" if there is none.
std::string Take(RecordBuffer* buffer) {
  const RecordBuffer::Record record = buffer->Front();
  if (record.data == nullptr) return "";
  std::string text(reinterpret_cast<const char*>(record.data), record.bytes);
  buffer->Release();
  return text;
}

TEST(RecordBuffer, GivesRecordsInOrderWithTheirKinds) {
  RecordBuffer buffer(256);
  EXPECT_EQ(buffer.Front().data, nullptr);
  EXPECT_TRUE(Put(&buffer, "12345678", 3));
  EXPECT_TRUE(Put(&buffer, "123456789", 4));
  EXPECT_EQ(buffer.Front().kind, 3u);
  EXPECT_EQ(Take(&buffer), "12345678");
  EXPECT_EQ(buffer.Front().kind, 4u);
  EXPECT_EQ(Take(&buffer), std::string("123456789\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(buffer.Front().data, nullptr);
}

TEST(RecordBuffer, RefusesWhatDoesNotFitAndTakesItAfterARelease) {
  RecordBuffer buffer(64);
  EXPECT_TRUE(Put(&buffer, std::string(24, 'a')));
  EXPECT_TRUE(Put(&buffer, std::string(24, 'b')));
  EXPECT_FALSE(Put(&buffer, "c"));
  EXPECT_EQ(Take(&buffer), std::string(24, 'a'));
  EXPECT_TRUE(Put(&buffer, std::string(24, 'c')));
  EXPECT_EQ(Take(&buffer), std::string(24, 'b'));
  EXPECT_EQ(Take(&buffer), std::string(24, 'c'));
  EXPECT_FALSE(Put(&buffer, std::string(64, 'd')));  // and its word
  EXPECT_FALSE(Put(&buffer, std::string(1000, 'd')));
}

TEST(RecordBuffer, NoRecordWrapsAround) {
  RecordBuffer buffer(128);
  for (std::size_t i = 0; i < 1000; ++i) {
    const std::string text(8 * (1 + i % 7), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(Put(&buffer, text)) << i;
    ASSERT_EQ(Take(&buffer), text) << i;
  }
}

TEST(RecordBuffer, ARecordWaitsForItsCommit) {
  RecordBuffer buffer(256);
  std::byte* const room = buffer.Reserve(8);
  EXPECT_TRUE(Put(&buffer, "22222222"));
  EXPECT_EQ(buffer.Front().data, nullptr);
  std::memcpy(room, "11111111", 8);
  RecordBuffer::Commit(room, 8, 0);
  EXPECT_EQ(Take(&buffer), "11111111");
  EXPECT_EQ(Take(&buffer), "22222222");
}

TEST(RecordBuffer, ProducersOnSeveralThreadsLoseNothingTheyWereNotTold) {
  constexpr std::size_t kThreads = 3;
  constexpr std::uint64_t kEach = 20000;
  RecordBuffer buffer(4096);
  std::atomic<std::size_t> running{kThreads};
  std::uint64_t put[kThreads] = {};
  std::vector<std::thread> producers;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    producers.emplace_back([&, thread] {
      for (std::uint64_t i = 1; i <= kEach; ++i) {
        // Its thread and number, and the same number to the end.
        std::vector<std::uint64_t> words(2 + i % 40, i);
        words[0] = thread;
        const std::size_t bytes = 8 * words.size();
        std::byte* const room = buffer.Reserve(bytes);
        if (room == nullptr) continue;
        std::memcpy(room, words.data(), bytes);
        RecordBuffer::Commit(room, bytes, 1);
        ++put[thread];
      }
      --running;
    });
  }
  std::uint64_t taken[kThreads] = {};
  std::uint64_t last[kThreads] = {};
  for (bool more = true; more;) {
    const bool ended = running == 0;
    const RecordBuffer::Record record = buffer.Front();
    more = record.data != nullptr || !ended;
    if (record.data == nullptr) continue;
    std::vector<std::uint64_t> words(record.bytes / 8);
    std::memcpy(words.data(), record.data, record.bytes);
    buffer.Release();
    ASSERT_LT(words[0], kThreads);
    ASSERT_GT(words[1], last[words[0]]);
    last[words[0]] = words[1];
    ASSERT_EQ(words.size(), 2 + words[1] % 40);
    for (std::size_t i = 1; i < words.size(); ++i) ASSERT_EQ(words[i], words[1]);
    ++taken[words[0]];
  }
  for (std::thread& producer : producers) producer.join();
  for (std::size_t thread = 0; thread < kThreads; ++thread) EXPECT_EQ(taken[thread], put[thread]);
  EXPECT_GT(put[0] + put[1] + put[2], 0u);
}

}  // namespace
}  // namespace actcache
