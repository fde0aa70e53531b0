// The memory limit, read from directory trees as kernels and container runtimes make them.
#include "base/memory_limit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace actcache {
namespace {

namespace fs = std::filesystem;

class MemoryLimitTest : public testing::Test {
 protected:
  MemoryLimitTest() {
    std::string name = (fs::temp_directory_path() / "actcache_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~MemoryLimitTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& content) {
    const fs::path file = root_ + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  void Groups(const std::string& content) { Write("/proc/self/cgroup", content); }
  std::uint64_t Limit() const { return ControlGroupMemoryLimit(root_); }

  std::string root_;
};

TEST_F(MemoryLimitTest, WithoutControlGroupsThereIsNone) {
  EXPECT_EQ(Limit(), kNoMemoryLimit);
  Groups("0::/a\n");
  EXPECT_EQ(Limit(), kNoMemoryLimit);
}

TEST_F(MemoryLimitTest, Version2TakesTheLeastOfTheGroupAndAllThatHoldIt) {
  Groups("0::/slice/service/worker\n");
  Write("/sys/fs/cgroup/slice/service/worker/memory.max", "max\n");
  EXPECT_EQ(Limit(), kNoMemoryLimit);
  Write("/sys/fs/cgroup/slice/service/memory.max", "3000\n");
  EXPECT_EQ(Limit(), 3000u);
  Write("/sys/fs/cgroup/slice/memory.max", "2000\n");
  EXPECT_EQ(Limit(), 2000u);
  Write("/sys/fs/cgroup/slice/service/worker/memory.max", "1000\n");
  EXPECT_EQ(Limit(), 1000u);
  Write("/sys/fs/cgroup/slice/other/memory.max", "10\n");
  EXPECT_EQ(Limit(), 1000u);
}

TEST_F(MemoryLimitTest, InAContainerTheRootIsTheContainersGroup) {
  Groups("0::/\n");
  Write("/sys/fs/cgroup/memory.max", "4096\n");
  EXPECT_EQ(Limit(), 4096u);
  Groups("0::/docker/0123456789ab\n");  // the host's name for it, which is not to be seen here
  EXPECT_EQ(Limit(), 4096u);
}

TEST_F(MemoryLimitTest, Version1HasAHierarchyForMemory) {
  Groups("5:cpu,cpuacct:/cpu\n4:hugetlb,memory:/docker/ab\n1:name=systemd:/docker/ab\n0::/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "5000\n");
  Write("/sys/fs/cgroup/memory/cpu/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(Limit(), 5000u);
}

TEST_F(MemoryLimitTest, WhatCannotBeReadIsNoLimit) {
  Groups("\n:\n0:\nnonsense\n0::relative\n0::/a\n");
  Write("/sys/fs/cgroup/memory.max", "");
  Write("/sys/fs/cgroup/a/memory.max", "12x\n");
  EXPECT_EQ(Limit(), kNoMemoryLimit);
}

TEST(MemoryLimit, IsAtMostTheMachinesMemory) {
  EXPECT_GT(MemoryLimit(), std::uint64_t{1} << 20);
  EXPECT_LT(MemoryLimit(), kNoMemoryLimit);
}

}  // namespace
}  // namespace actcache
