// What a store on disk takes: to open, to put values, to get them.
//
//   disk_bench fill FOLDER BYTES COUNT   a new store of COUNT values of BYTES each
//   disk_bench open FOLDER [cold]        opens it, gets one value; cold: nothing of it is in memory
//   disk_bench sizes FOLDER              values in the index against values in files of their own
//
// Prints a line for each figure, "NAME NUMBER": "entries"; "open" and "first", in nanoseconds;
// "put", "put 16", "get" and "cold", followed by "index" or "file" and the bytes of a value, in
// nanoseconds for each value. Puts are means, with the log written back; gets are medians.
//
// Exit status: 0; 2 and a line on stderr for a bad argument, or if the store does not do what it
// should.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench_program.h"
#include "bench_records.h"
#include "tier/disk/database.h"
#include "tier/disk/disk_tier.h"
#include "tier/disk/limits.h"
#include "tier/disk/schema.h"
#include "tier/disk/writer.h"

namespace actcache::bench {
namespace {

constexpr std::uint64_t kForever = ~std::uint64_t{0};

void Print(const std::string& name, std::uint64_t number) {
  std::printf("%s %" PRIu64 "\n", name.c_str(), number);
  std::fflush(stdout);
}

// Takes all files of a folder out of the system's memory, as after a restart of the machine.
void ForgetFiles(const std::string& folder) {
  const int all = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (all < 0 || syncfs(all) != 0) throw std::runtime_error("the folder cannot be written to disk");
  close(all);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

void Fill(const std::string& folder, std::size_t bytes, std::uint64_t count) {
  constexpr std::uint64_t kBatch = 64;
  const std::uint64_t room = count * (bytes + 2 * kPageBytes);
  DiskTier tier(folder, room + (std::uint64_t{256} << 20));
  for (std::uint64_t first = 0; first < count; first += kBatch) {
    std::vector<Record> records;
    for (std::uint64_t i = first; i < std::min(count, first + kBatch); ++i) {
      records.push_back(RecordNumber(i, bytes, tier.secret()));
    }
    tier.Put(records.data(), records.size());
    if (first % (16 * kBatch) == 0) tier.Maintain();
  }
  const TierStats stats = tier.stats();
  if (stats.stored != count) throw std::runtime_error("not every value was stored");
  Print("entries", stats.entries);
}

bool Has(DiskTier* tier, std::uint64_t number) {
  const TierKey key = KeyNumber(number);
  Record found;
  tier->Get(&key, 1, kForever, &found);
  return static_cast<bool>(found);
}

void Open(const std::string& folder, bool cold) {
  if (cold) ForgetFiles(folder);
  const std::uint64_t begin = SteadyNow();
  DiskTier tier(folder, 0);
  const std::uint64_t opened = SteadyNow();
  if (!Has(&tier, 1)) throw std::runtime_error("value 1 is not there");
  Print("first", SteadyNow() - opened);
  Print("open", opened - begin);
}

// One of two stores that keep the same values, one in its index, one in files.
class Side {
 public:
  Side(const std::string& folder, const char* name, std::uint64_t own_file_bytes)
      : folder_(folder + "/" + name),
        name_(name),
        reader_(folder_, std::uint64_t{4} << 30),
        files_(folder_),
        writer_(folder_, files_, own_file_bytes),
        index_(IndexPath(folder_), Database::Access::kWrite, /*busy_timeout_ms=*/1000) {
    writer_.SetBudget(0);
  }

  // So many values, from this number on, in one call; how long it took.
  std::uint64_t Put(std::uint64_t first, std::size_t count, std::size_t bytes) {
    std::vector<Record> records;
    for (std::size_t i = 0; i < count; ++i) {
      records.push_back(RecordNumber(first + i, bytes, reader_.secret()));
    }
    const std::uint64_t begin = SteadyNow();
    const std::uint64_t stored = writer_.Put(records.data(), count).stored;
    if (stored != count) throw std::runtime_error("a value was not stored");
    return SteadyNow() - begin;
  }

  std::uint64_t Get(std::uint64_t number) {
    const std::uint64_t begin = SteadyNow();
    if (!Has(&reader_, number)) throw std::runtime_error("a value is not there");
    return SteadyNow() - begin;
  }

  // Writes the log back into the database; how long that took.
  std::uint64_t WriteBack() {
    const std::uint64_t begin = SteadyNow();
    if (!index_.Checkpoint(/*truncate=*/true)) throw std::runtime_error("the log stays");
    return SteadyNow() - begin;
  }

  void Forget() const { ForgetFiles(folder_); }
  std::string Named(const std::string& what, std::size_t bytes) const {
    return what + " " + name_ + " " + std::to_string(bytes);
  }

 private:
  const std::string folder_;
  const char* const name_;
  DiskTier reader_;
  const ValueFiles files_;
  DiskWriter writer_;
  Database index_;
};

std::uint64_t Sum(const std::vector<std::uint64_t>& times) {
  return std::accumulate(times.begin(), times.end(), std::uint64_t{0});
}

std::uint64_t Median(std::vector<std::uint64_t> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

// Both sides in turn, so that what else the machine does hits both.
template <typename Work>
void InTurn(Side* index, Side* file, std::uint64_t count, std::vector<std::uint64_t>* in_index,
            std::vector<std::uint64_t>* in_file, const Work& work) {
  in_index->clear();
  in_file->clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i % 2 == 0) in_index->push_back(work(index, i));
    in_file->push_back(work(file, i));
    if (i % 2 != 0) in_index->push_back(work(index, i));
  }
}

// Values of one size: each in a call of its own, then several in a call, then found again.
void OneSize(Side* index, Side* file, std::size_t bytes) {
  constexpr std::uint64_t kSingle = 320;
  constexpr std::uint64_t kBatches = 20;
  constexpr std::size_t kBatch = 16;
  constexpr std::uint64_t kCold = 100;
  std::vector<std::uint64_t> a;
  std::vector<std::uint64_t> b;
  const auto print = [&](const std::string& what, std::uint64_t of_index, std::uint64_t of_file) {
    Print(index->Named(what, bytes), of_index);
    Print(file->Named(what, bytes), of_file);
  };
  const auto print_puts = [&](const std::string& what, std::uint64_t values) {
    print(what, (Sum(a) + index->WriteBack()) / values, (Sum(b) + file->WriteBack()) / values);
  };
  InTurn(index, file, kSingle, &a, &b,
         [&](Side* side, std::uint64_t i) { return side->Put(i, 1, bytes); });
  print_puts("put", kSingle);
  InTurn(index, file, kBatches, &a, &b, [&](Side* side, std::uint64_t i) {
    return side->Put(kSingle + i * kBatch, kBatch, bytes);
  });
  print_puts("put 16", kBatches * kBatch);
  InTurn(index, file, kSingle, &a, &b, [&](Side* side, std::uint64_t i) { return side->Get(i); });
  print("get", Median(a), Median(b));
  index->Forget();
  file->Forget();
  InTurn(index, file, kCold, &a, &b,
         [&](Side* side, std::uint64_t i) { return side->Get(i * 3 + 1); });
  print("cold", Median(a), Median(b));
}

void Sizes(const std::string& folder) {
  for (std::size_t bytes = std::size_t{4} << 10; bytes <= std::size_t{1} << 20; bytes *= 2) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    Side index(folder, "index", kForever);
    Side file(folder, "file", 0);
    OneSize(&index, &file, bytes);
  }
  std::filesystem::remove_all(folder);
}

void Main(const std::vector<std::string>& arguments) {
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "fill" && arguments.size() == 4) {
    Fill(arguments[1], std::strtoull(arguments[2].c_str(), nullptr, 10),
         std::strtoull(arguments[3].c_str(), nullptr, 10));
  } else if (what == "open" && (arguments.size() == 2 || arguments.size() == 3)) {
    Open(arguments[1], arguments.size() == 3);
  } else if (what == "sizes" && arguments.size() == 2) {
    Sizes(arguments[1]);
  } else {
    throw std::invalid_argument(
        "usage: disk_bench fill FOLDER BYTES COUNT | open FOLDER [cold] | sizes FOLDER");
  }
}

}  // namespace
}  // namespace actcache::bench

int main(int count, char** arguments) {
  return actcache::bench::RunProgram(
      "disk_bench", [&] { actcache::bench::Main({arguments + 1, arguments + count}); });
}
