// LogFile: appending, rotation, broken ends, sharing, and paths that cannot be written.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>

#include "audit/log_file.h"
#include "audit_testing.h"

namespace actcache {
namespace {

using testing_support::Content;
using testing_support::Folder;

TEST(LogFile, AppendsToWhatIsThere) {
  const Folder folder;
  ASSERT_TRUE(LogFile::Open(folder / "a")->Append("one\n"));
  const auto file = LogFile::Open(folder / "a");
  EXPECT_EQ(file->bytes(), 4u);
  ASSERT_TRUE(file->Append("two\n"));
  EXPECT_EQ(file->bytes(), 8u);
  EXPECT_EQ(Content(folder / "a"), "one\ntwo\n");
}

TEST(LogFile, RotatesUnderANameWithTheProcessId) {
  const Folder folder;
  const auto file = LogFile::Open(folder / "a-%p.%p");
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(file->path(), folder / ("a-" + pid + "." + pid));
  ASSERT_TRUE(file->Append("one\n"));
  ASSERT_TRUE(file->Rotate(1));
  EXPECT_EQ(Content(file->path() + ".1"), "one\n");
  EXPECT_EQ(folder.files(), 2u);
}

TEST(LogFile, EndsALineThatACrashBrokeOff) {
  const Folder folder;
  ASSERT_TRUE(LogFile::Open(folder / "a")->Append("one\nbro"));
  ASSERT_TRUE(LogFile::Open(folder / "a")->Append("two\n"));
  EXPECT_EQ(Content(folder / "a"), "one\nbro\ntwo\n");
}

TEST(LogFile, RotatesAndKeepsSoMany) {
  const Folder folder;
  const auto file = LogFile::Open(folder / "a");
  for (const char* text : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(file->Append(text));
    ASSERT_TRUE(file->Rotate(2));
    EXPECT_EQ(file->bytes(), 0u);
  }
  ASSERT_TRUE(file->Append("5"));
  EXPECT_EQ(Content(folder / "a"), "5");
  EXPECT_EQ(Content(folder / "a.1"), "4");
  EXPECT_EQ(Content(folder / "a.2"), "3");
  EXPECT_EQ(folder.files(), 3u);
}

TEST(LogFile, KeepsNoneIfNoneIsWanted) {
  const Folder folder;
  const auto file = LogFile::Open(folder / "a");
  ASSERT_TRUE(file->Append("1"));
  ASSERT_TRUE(file->Rotate(0));
  EXPECT_EQ(Content(folder / "a"), "");
  EXPECT_EQ(folder.files(), 1u);
}

TEST(LogFile, AFileThatAnotherHasOpenIsLeftAlone) {
  const Folder folder;
  const auto first = LogFile::Open(folder / "a");
  const auto second = LogFile::Open(folder / "a");
  EXPECT_EQ(second->path(), (folder / "a.pid-") + std::to_string(getpid()));
  EXPECT_THROW(LogFile::Open(folder / "a"), std::runtime_error);
}

std::string ComplaintAbout(const std::string& path) {
  try {
    LogFile::Open(path);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(LogFile, SaysWhyItCannotBeOpened) {
  const Folder folder;
  EXPECT_EQ(ComplaintAbout(folder / "no/a"),
            "the audit log " + (folder / "no/a") + " cannot be opened: No such file or directory");
  EXPECT_EQ(ComplaintAbout(folder / ""),
            "the audit log " + (folder / "") + " cannot be opened: Is a directory");
  EXPECT_EQ(ComplaintAbout("/dev/null"),
            "the audit log /dev/null cannot be opened: it is not a regular file");
}

TEST(LogFile, WhatIsWrittenHalfGoesAgain) {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    // A limit on the size of files is the full disk that a test can have.
    const auto file = LogFile::Open(folder / "a");
    file->Append("123456\n");
    const rlimit limit{10, 10};
    std::signal(SIGXFSZ, SIG_IGN);
    const bool refused = setrlimit(RLIMIT_FSIZE, &limit) == 0 && !file->Append("789012\n") &&
                         file->bytes() == 7 && file->Append("8\n");
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Content(folder / "a"), "123456\n8\n");
}

}  // namespace
}  // namespace actcache
