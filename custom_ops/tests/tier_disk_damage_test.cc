// What becomes of a store whose files are damaged, deleted, or replaced by another one's.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "tier/disk/clearing.h"
#include "tier/disk/database.h"
#include "tier/disk/disk_tier.h"
#include "tier/disk/schema.h"
#include "tier_disk_testing.h"

namespace actcache {
namespace {

using DiskDamageTest = DiskStoreTest;

// Flips a bit in the middle of every file below the folder whose path has `name_begins` in it.
std::size_t DamageFiles(const std::string& folder, const std::string& name_begins) {
  std::size_t damaged = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    if (entry.path().string().find(name_begins) == std::string::npos) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(entry.file_size() / 2);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 1));
    ++damaged;
  }
  return damaged;
}

TEST_F(DiskDamageTest, ADamagedValueIsAMissAndLeaves) {
  DiskTier tier(store(), 0);
  for (std::uint64_t i = 0; i < 4; ++i) PutOne(&tier, i, kLarge);
  ASSERT_EQ(DamageFiles(store(), "/values/"), 4u);
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(GetOne(&tier, i));
  EXPECT_EQ(tier.stats().damaged, 4u);
  tier.Maintain();
  EXPECT_EQ(tier.stats().entries, 0u);
  PutOne(&tier, 0, kLarge);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 0), 0));
}

TEST_F(DiskDamageTest, ATruncatedOrMissingFileIsAMiss) {
  DiskTier tier(store(), 0);
  for (std::uint64_t i = 0; i < 4; ++i) PutOne(&tier, i, kLarge);
  std::size_t changed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store() + "/values")) {
    if (!entry.is_regular_file()) continue;
    if (changed++ % 2 == 0) {
      std::filesystem::resize_file(entry.path(), entry.file_size() - 100);
    } else {
      std::filesystem::remove(entry.path());
    }
  }
  ASSERT_EQ(changed, 4u);
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(GetOne(&tier, i));
  tier.Maintain();
  EXPECT_EQ(tier.stats().entries, 0u);
}

TEST_F(DiskDamageTest, ADamagedIndexIsRefusedAndNeverAnswers) {
  {
    DiskTier tier(store(), 0);
    for (std::uint64_t i = 0; i < 50; ++i) PutOne(&tier, i, kSmall);
  }
  std::filesystem::remove(IndexPath(store()) + "-wal");
  std::ofstream(IndexPath(store()), std::ios::binary)
      << "this is no database, but long enough " << std::string(20'000, 'x');
  EXPECT_THROW(DiskTier(store(), 0), DatabaseError);
}

TEST_F(DiskDamageTest, GoesOnOnceADamagedStoreIsEmptied) {
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kLarge);
  for (const char* const suffix : {"", "-wal"}) {
    const std::string path = IndexPath(store()) + suffix;
    const auto size = static_cast<std::size_t>(std::filesystem::file_size(path));
    std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << std::string(size, 'x');
  }
  EXPECT_FALSE(GetOne(&tier, 1));  // who writes has the pages in memory
  ASSERT_FALSE(tier.available());
  ClearStore(store());
  tier.Maintain();
  EXPECT_TRUE(tier.available());
  PutOne(&tier, 3, kLarge);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 3), 3));
  EXPECT_FALSE(GetOne(&tier, 1));
}

TEST_F(DiskDamageTest, AStoreThatWasDeletedIsMadeAnew) {
  DiskTier tier(store(), 0);
  const DigestKey secret = tier.secret();
  PutOne(&tier, 1, kSmall);
  std::filesystem::remove_all(store());
  PutOne(&tier, 2, kLarge);
  tier.Maintain();
  PutOne(&tier, 3, kSmall);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 3), 3));
  EXPECT_FALSE(GetOne(&tier, 1));
  EXPECT_EQ(DiskTier(store(), 0).secret(), secret);
}

TEST_F(DiskDamageTest, AnotherStoreInItsPlaceTurnsItOff) {
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kSmall);
  std::filesystem::rename(store(), store() + ".old");
  {
    const DiskTier other(store(), 0);
  }
  tier.Maintain();
  EXPECT_FALSE(tier.available());
  EXPECT_FALSE(GetOne(&tier, 1));
  PutOne(&tier, 2, kSmall);
  EXPECT_EQ(DiskTier(store(), 0).stats().entries, 0u);
}

TEST_F(DiskDamageTest, GoesOnOnceItsFolderCanBeMadeAgain) {
  const std::string parent = folder_.path() + "/parent";
  std::filesystem::create_directory(parent);
  DiskTier tier(parent + "/store", 0);
  std::filesystem::remove_all(parent);
  tier.Maintain();
  EXPECT_FALSE(tier.available());
  std::filesystem::create_directory(parent);
  tier.Maintain();
  EXPECT_TRUE(tier.available());
  PutOne(&tier, 1, kSmall);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 1), 1));
}

TEST_F(DiskDamageTest, WhatAKilledProcessLeftOfASecretIsRemoved) {
  const DigestKey secret = DiskTier(store(), 0).secret();
  const std::string old = store() + "/secret.123.0";
  const std::string fresh = store() + "/secret.123.1";
  for (const std::string& path : {old, fresh}) std::ofstream(path) << std::string(32, 'x');
  namespace fs = std::filesystem;
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::minutes(5));
  EXPECT_EQ(DiskTier(store(), 0).secret(), secret);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh));  // somebody may be at it
}

// As if a process had been killed while it started the log over, and another one kept its memory.
TEST_F(DiskDamageTest, ALogThatWasBeingStartedOverLosesNothing) {
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kSmall);
  Database other(IndexPath(store()), Database::Access::kWrite, 1000);
  ASSERT_EQ(other.Number("SELECT count(*) FROM entries"), 1);
  sqlite3_file* file = nullptr;
  ASSERT_EQ(sqlite3_file_control(other.handle(), "main", SQLITE_FCNTL_FILE_POINTER,
                                 static_cast<void*>(&file)),
            SQLITE_OK);
  void volatile* memory = nullptr;
  ASSERT_EQ(file->pMethods->xShmMap(file, 0, 32768, 0, &memory), SQLITE_OK);
  auto* const words = static_cast<std::uint32_t volatile*>(memory);
  ASSERT_GT(words[4], 0u);
  words[24] = words[4] + 1000;  // so many frames are in the database, it says
  for (std::uint64_t number = 2; number < 6; ++number) {
    PutOne(&tier, number, kSmall);
    EXPECT_TRUE(IsTestValue(GetOne(&tier, number), number)) << number;
  }
  EXPECT_LE(words[24], words[4]);
  EXPECT_EQ(tier.stats().entries, 5u);
}

}  // namespace
}  // namespace actcache
