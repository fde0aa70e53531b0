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

TEST(Record, TooLargeIsNotMade) {
  const std::vector<TensorSpec> specs = {{1, {1 << 28}, std::size_t{1} << 30}};
  EXPECT_FALSE(Record::Make({}, specs.data(), specs.size()));
}

}  // namespace
}  // namespace actcache
