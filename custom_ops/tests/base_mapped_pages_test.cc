// Pages of files are given back; whatever else lies in memory stays as it is.
#include "base/mapped_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

namespace actcache {
namespace {

const std::size_t kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
constexpr std::size_t kPages = 8;

// A file of kPages pages, page i full of 'a' + i, mapped as onnxruntime maps weights.
class MappedFile {
 public:
  MappedFile() {
    std::string path = testing::TempDir() + "actcache_mapped_XXXXXX";
    const int file = mkstemp(path.data());
    unlink(path.c_str());
    for (std::size_t i = 0; i < kPages; ++i) {
      const std::string page(kPage, static_cast<char>('a' + i));
      EXPECT_EQ(write(file, page.data(), page.size()), static_cast<ssize_t>(page.size()));
    }
    void* const at = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    EXPECT_NE(at, MAP_FAILED);
    data_ = static_cast<char*>(at);
    close(file);
  }
  ~MappedFile() { munmap(data_, kPages * kPage); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* page(std::size_t i) { return data_ + i * kPage; }

  void Read() {
    for (std::size_t i = 0; i < kPages; ++i) {
      const volatile char* const page_i = page(i);
      EXPECT_EQ(page_i[0], static_cast<char>('a' + i));
    }
  }

 private:
  char* data_;
};

// Which pages of the mapping this process has in its own page table. Unlike mincore(), which tells
// of the system's cache, too.
std::vector<bool> Present(MappedFile& file) {
  std::FILE* const pagemap = std::fopen("/proc/self/pagemap", "rb");
  std::vector<bool> present;
  if (pagemap == nullptr) return present;
  for (std::size_t i = 0; i < kPages; ++i) {
    std::uint64_t entry = 0;
    const auto at = reinterpret_cast<std::uintptr_t>(file.page(i)) / kPage * sizeof(entry);
    std::fseek(pagemap, static_cast<long>(at), SEEK_SET);
    if (std::fread(&entry, sizeof(entry), 1, pagemap) != 1) break;
    present.push_back((entry >> 63) != 0);
  }
  std::fclose(pagemap);
  return present;
}

TEST(MappedPages, WholePagesOfAFileAreGivenBackAndReadAgain) {
  MappedFile file;
  file.Read();
  const std::vector<bool> before = Present(file);
  if (before != std::vector<bool>(kPages, true)) GTEST_SKIP() << "no /proc/self/pagemap here";
  ReleaseFilePages(file.page(1) + 1, 4 * kPage);  // the pages 2, 3 and 4 whole, of 1 and 5 a part
  EXPECT_EQ(Present(file), (std::vector<bool>{true, true, false, false, false, true, true, true}));
  file.Read();
}

TEST(MappedPages, PagesThatWereWrittenToStay) {
  MappedFile file;
  file.Read();
  file.page(2)[7] = '!';
  ReleaseFilePages(file.page(0), kPages * kPage);
  EXPECT_EQ(file.page(2)[7], '!');
  file.Read();
}

TEST(MappedPages, OtherMemoryStays) {
  std::vector<char> heap(16 * kPage, 'x');
  ReleaseFilePages(heap.data(), heap.size());
  EXPECT_EQ(heap, std::vector<char>(16 * kPage, 'x'));
  ReleaseFilePages(heap.data() + 1, 0);
  ReleaseFilePages(heap.data() + 1, 10);  // no whole page
  EXPECT_EQ(heap.front(), 'x');
}

}  // namespace
}  // namespace actcache
