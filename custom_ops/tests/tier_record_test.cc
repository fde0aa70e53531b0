#include "tier/record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace actcache {
namespace {

TierKey KeyOf(unsigned char number) {
  TierKey key{};
  key.fill(number);
  return key;
}

DigestKey SecretOf(unsigned char number) {
  DigestKey secret{};
  secret.fill(number);
  return secret;
}

const std::vector<TensorSpec> kSpecs = {
    {1, {2, 3}, 24}, {7, {}, 8}, {3, {0, 5}, 0}, {3, {100}, 100}};

Record Sealed() {
  RecordFields fields;
  fields.key = KeyOf(3);
  fields.identity.fill(9);
  fields.fingerprint = "f00d";
  fields.region = "encoder";
  fields.name_space = "tenant";
  fields.made_ns = 1'000;
  fields.expires_ns = 2'000;
  fields.cost_ns = 77;
  Record record = Record::Make(fields, kSpecs.data(), kSpecs.size());
  EXPECT_TRUE(record);
  for (std::size_t i = 0; i < record.tensor_count(); ++i) {
    std::memset(record.payload(i), static_cast<int>(i + 1), record.spec(i).bytes);
  }
  record.Seal(SecretOf(5));
  return record;
}

Record Opened(const std::byte* data, std::size_t size, const char** problem,
              const TierKey& key = KeyOf(3), const DigestKey& secret = SecretOf(5)) {
  return Record::Open(Buffer::Copy(data, size), key, secret, problem);
}

TEST(Record, SaysWhatWentIn) {
  const Record sealed = Sealed();
  const char* problem = "unset";
  const Record record = Opened(sealed.data(), sealed.size(), &problem);
  ASSERT_TRUE(record) << problem;
  EXPECT_EQ(problem, nullptr);
  EXPECT_EQ(record.fields().key, KeyOf(3));
  EXPECT_EQ(record.fields().identity[31], 9);
  EXPECT_EQ(record.fields().fingerprint, "f00d");
  EXPECT_EQ(record.fields().region, "encoder");
  EXPECT_EQ(record.fields().name_space, "tenant");
  EXPECT_EQ(record.fields().made_ns, 1'000u);
  EXPECT_EQ(record.fields().cost_ns, 77u);
  EXPECT_FALSE(record.Expired(1'999));
  EXPECT_TRUE(record.Expired(2'000));
  ASSERT_EQ(record.tensor_count(), kSpecs.size());
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    EXPECT_EQ(record.spec(i).dtype, kSpecs[i].dtype);
    EXPECT_EQ(record.spec(i).dims, kSpecs[i].dims);
    const std::vector<std::byte> wanted(kSpecs[i].bytes, static_cast<std::byte>(i + 1));
    ASSERT_EQ(record.spec(i).bytes, wanted.size());
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), record.payload(i)));
  }
}

TEST(Record, EveryFlippedBitIsSeen) {
  const Record sealed = Sealed();
  std::vector<std::byte> bytes(sealed.data(), sealed.data() + sealed.size());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned bit : {0U, 7U}) {
      const std::byte before = bytes[at];
      bytes[at] ^= static_cast<std::byte>(1U << bit);
      const char* problem = nullptr;
      EXPECT_FALSE(Opened(bytes.data(), bytes.size(), &problem)) << "byte " << at;
      EXPECT_NE(problem, nullptr);
      bytes[at] = before;
    }
  }
}

TEST(Record, EveryOtherLengthIsSeen) {
  const Record sealed = Sealed();
  std::vector<std::byte> bytes(sealed.data(), sealed.data() + sealed.size());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const char* problem = nullptr;
    EXPECT_FALSE(Opened(bytes.data(), size, &problem)) << size;
    EXPECT_NE(problem, nullptr);
  }
  bytes.resize(bytes.size() + 64);
  const char* problem = nullptr;
  EXPECT_FALSE(Opened(bytes.data(), bytes.size(), &problem));
}

TEST(Record, OfAnotherKeyOrSecretIsNone) {
  const Record sealed = Sealed();
  const char* problem = nullptr;
  EXPECT_FALSE(Opened(sealed.data(), sealed.size(), &problem, KeyOf(4)));
  EXPECT_STREQ(problem, "it is the record of another key");
  EXPECT_FALSE(Opened(sealed.data(), sealed.size(), &problem, KeyOf(3), SecretOf(6)));
  EXPECT_STREQ(problem, "its checksum is wrong");
}

// Where the numbers of the header lie, as record.h says.
constexpr std::size_t kFormatAt = 8;
constexpr std::size_t kDescriptionAt = 12;
constexpr std::size_t kTotalAt = 16;
constexpr std::size_t kTensorsAt = 112;
constexpr std::size_t kTextsAt = 116;
// The first tensor: after the three texts come its type, rank, bytes and sizes.
constexpr std::size_t kFirstTensorAt = 128 + 4 + 7 + 6;
constexpr std::size_t kRankAt = kFirstTensorAt + 4;
constexpr std::size_t kBytesAt = kFirstTensorAt + 8;
constexpr std::size_t kSizesAt = kFirstTensorAt + 16;
// The third one has no bytes.
constexpr std::size_t kEmptyBytesAt = kFirstTensorAt + 32 + 16 + 8;

std::uint64_t NumberAt(const std::vector<std::byte>& bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size; ++i) {
    number |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
  }
  return number;
}

// What is wrong with a record in which somebody who has the secret wrote another number; null:
// nothing.
const char* ProblemWith(std::size_t at, std::size_t size, std::uint64_t number) {
  const Record sealed = Sealed();
  std::vector<std::byte> bytes(sealed.data(), sealed.data() + sealed.size());
  for (std::size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<std::byte>(number >> (8 * i));
  const std::size_t checked = bytes.size() - sizeof(Digest);
  const Digest checksum = KeyedDigest(SecretOf(5), bytes.data(), checked);
  std::memcpy(bytes.data() + checked, checksum.data(), checksum.size());
  const char* problem = nullptr;
  const Record opened = Opened(bytes.data(), bytes.size(), &problem);
  EXPECT_EQ(static_cast<bool>(opened), problem == nullptr);
  return problem;
}

TEST(Record, NumbersThatDoNotFitAreSeenUnderASoundChecksum) {
  const Record sealed = Sealed();
  const std::vector<std::byte> bytes(sealed.data(), sealed.data() + sealed.size());
  ASSERT_EQ(NumberAt(bytes, kFormatAt, 4), kRecordFormat);
  ASSERT_EQ(NumberAt(bytes, kTotalAt, 8), bytes.size());
  ASSERT_EQ(NumberAt(bytes, kTensorsAt, 4), kSpecs.size());
  ASSERT_EQ(NumberAt(bytes, kTextsAt, 4), 4u);
  ASSERT_EQ(NumberAt(bytes, kRankAt, 4), 2u);
  ASSERT_EQ(NumberAt(bytes, kBytesAt, 8), 24u);
  ASSERT_EQ(NumberAt(bytes, kSizesAt + 8, 8), 3u);
  ASSERT_EQ(NumberAt(bytes, kEmptyBytesAt, 8), 0u);
  EXPECT_EQ(ProblemWith(kFormatAt, 4, kRecordFormat), nullptr);
  const std::uint64_t most = ~std::uint64_t{0};
  struct Case {
    std::size_t at, size;
    std::vector<std::uint64_t> numbers;
  };
  const std::vector<Case> cases = {
      {kFormatAt, 4, {0, kRecordFormat + 1, most}},
      {kDescriptionAt, 4, {0, 64, 65, bytes.size() - 32, bytes.size() + 32, 1U << 31, most}},
      {kTotalAt, 8, {0, bytes.size() - 1, bytes.size() + 64, most}},
      {kTensorsAt, 4, {0, kSpecs.size() - 1, 4096, 4097, most}},
      {kTextsAt, 4, {5, 4000, 4097, most}},
      {kRankAt, 4, {1, 3, 256, 257, most}},
      {kBytesAt, 8, {0, 65, 1U << 20, most, most - 24}},
      {kEmptyBytesAt, 8, {1, most, most - 62}},
      {kSizesAt, 8, {most, std::uint64_t{1} << 63}},
  };
  for (const Case& one : cases) {
    for (const std::uint64_t number : one.numbers) {
      const char* const problem = ProblemWith(one.at, one.size, number);
      ASSERT_NE(problem, nullptr) << number << " at " << one.at;
      // Nothing is made on the word of a header before it is known to be one.
      EXPECT_STRNE(problem, "there is no memory to read it") << number << " at " << one.at;
    }
  }
}

TEST(Record, WhatLiesBetweenPayloadsSaysNothing) {
  const std::size_t size = Sealed().size();
  for (int i = 0; i < 8; ++i) {  // memory that was used for something else
    Buffer used(size);
    std::memset(used.data(), 0xaa, size);
  }
  const Record record = Sealed();
  const std::byte* const end = record.data() + record.size() - sizeof(Digest);
  std::size_t gaps = 0;
  for (std::size_t i = 0; i < record.tensor_count(); ++i) {
    const std::byte* const next = i + 1 < record.tensor_count() ? record.payload(i + 1) : end;
    for (const std::byte* at = record.payload(i) + record.spec(i).bytes; at < next; ++at, ++gaps) {
      EXPECT_EQ(*at, std::byte{0});
    }
  }
  EXPECT_GT(gaps, 100u);
}

TEST(Record, WithoutAnEndNeverExpires) {
  const Record record = Record::Make({}, kSpecs.data(), kSpecs.size());
  ASSERT_TRUE(record);
  EXPECT_FALSE(record.Expired(~std::uint64_t{0}));
}

TEST(Record, TooLargeIsNotMade) {
  const std::vector<TensorSpec> specs = {{1, {1 << 28}, std::size_t{1} << 30}};
  EXPECT_FALSE(Record::Make({}, specs.data(), specs.size()));
}

}  // namespace
}  // namespace actcache
