// Records that no writer makes, under a checksum that is right: whoever has the secret may be
// mistaken, or of another version. Nothing that such a record says is believed.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tier/record.h"

namespace actcache {
namespace {

constexpr std::size_t kHeader = 128;
constexpr char kDescription[] = "its description is damaged";

// The bytes of a record, number by number; places as in record.cc.
class Forged {
 public:
  // `description` bytes for the header, the texts and the tensors, of `total`.
  Forged(std::size_t description, std::size_t total) : bytes_(total) {
    std::memcpy(bytes_.data(), "actcache", 8);
    Number(8, 4, kRecordFormat);
    Number(12, 4, description);
    Number(16, 8, total);
  }

  void Number(std::size_t at, std::size_t size, std::uint64_t number) {
    ASSERT_LE(at + size, bytes_.size());
    for (std::size_t i = 0; i < size; ++i) {
      bytes_[at + i] = static_cast<std::byte>(number >> (8 * i));
    }
  }
  void Tensors(std::size_t count) { Number(112, 4, count); }
  void FirstText(std::size_t size) { Number(116, 4, size); }

  // What is wrong with it, once it has its checksum; null: nothing.
  const char* Problem() {
    const DigestKey secret{};
    const std::size_t checked = bytes_.size() - sizeof(Digest);
    const Digest checksum = KeyedDigest(secret, bytes_.data(), checked);
    std::memcpy(bytes_.data() + checked, checksum.data(), checksum.size());
    const char* problem = nullptr;
    const Record record =
        Record::Open(Buffer::Copy(bytes_.data(), bytes_.size()), TierKey{}, secret, &problem);
    EXPECT_EQ(static_cast<bool>(record), problem == nullptr);
    return problem;
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(ForgedRecord, AnEmptyOneIsSound) {
  EXPECT_EQ(Forged(kHeader, kHeader + sizeof(Digest)).Problem(), nullptr);
}

// Tensors without sizes and bytes take 16 bytes each.
const char* ProblemWithTensors(std::size_t count) {
  const std::size_t description = (kHeader + 16 * count + 63) / 64 * 64;
  Forged record(description, description + sizeof(Digest));
  record.Tensors(count);
  return record.Problem();
}

TEST(ForgedRecord, MoreTensorsThanAnyModelHas) {
  EXPECT_EQ(ProblemWithTensors(4096), nullptr);
  EXPECT_STREQ(ProblemWithTensors(4097), kDescription);
}

TEST(ForgedRecord, ATextThatEndsBehindTheDescription) {
  const auto problem = [](std::size_t text, std::size_t tensors) {
    Forged record(kHeader + 64, kHeader + 64 + sizeof(Digest));
    record.FirstText(text);
    record.Tensors(tensors);
    return record.Problem();
  };
  EXPECT_EQ(problem(64, 0), nullptr);
  // With a tensor behind the text, its numbers would be read from outside of the record.
  for (const std::size_t tensors : {0, 1}) EXPECT_STREQ(problem(65, tensors), kDescription);
}

TEST(ForgedRecord, ADescriptionThatIsNotAligned) {
  Forged record(kHeader + 32, kHeader + 32 + sizeof(Digest));
  record.FirstText(32);
  EXPECT_STREQ(record.Problem(), kDescription);
}

// The description is said to go beyond the payloads' end. Then the only tensor's size is a number
// of the checksum, and its bytes are as many as bring the sum round to what it should be. About
// every second checksum is a size that could be.
TEST(ForgedRecord, ADescriptionThatIsLongerThanTheRecord) {
  constexpr std::size_t kEnd = kHeader + 64;  // where the checksum begins
  for (std::uint64_t made = 0; made < 16; ++made) {
    Forged record(kEnd + 64, kEnd + sizeof(Digest));
    record.FirstText(kEnd - 16 - kHeader);
    record.Tensors(1);
    record.Number(88, 8, made);
    record.Number(kEnd - 16, 4, 1);
    record.Number(kEnd - 12, 4, 1);
    record.Number(kEnd - 8, 8, ~std::uint64_t{0} - 63);
    EXPECT_STREQ(record.Problem(), kDescription) << made;
  }
}

}  // namespace
}  // namespace actcache
