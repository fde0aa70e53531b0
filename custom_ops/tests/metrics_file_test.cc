// The metrics file, and Prometheus' text format.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "metrics/metrics_file.h"
#include "metrics/prometheus_text.h"
#include "rounds.h"

namespace actcache {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "actcache-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_))
      names.push_back(entry.path().filename());
    return names;
  }

 private:
  fs::path path_;
};

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t Threads() {
  std::size_t count = 0;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    static_cast<void>(task);
    ++count;
  }
  return count;
}

// A thread is listed for a moment after it has told that it ends.
bool ThreadsBecome(std::size_t count) {
  for (int i = 0; i < 500 && Threads() != count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Threads() == count;
}

struct Metrics {
  Registry registry;
  Store store{0};
  MetricsFile file{&registry, &store};
};

TEST(MetricsFile, IsWrittenFromTheFirstSettingToTheLast) {
  const Folder folder;
  Metrics m;
  Region& region = m.registry.InternRegion("r", "f");
  std::thread([] {}).join();  // a sanitizer starts a thread of its own with the first one
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::size_t threads = Threads();
  m.file.SetPath(folder / "a.json");
  EXPECT_EQ(Threads(), threads + 1);
  region.counters.hits = 1;
  m.file.SetPath(folder / "b.json");  // ends the other, with its last snapshot
  EXPECT_TRUE(Contains(Read(folder / "a.json"), "\"hits\": 1"));
  region.counters.hits = 2;
  m.file.SetPath("");
  EXPECT_TRUE(ThreadsBecome(threads));
  EXPECT_TRUE(Contains(Read(folder / "a.json"), "\"hits\": 1"));
  EXPECT_TRUE(Contains(Read(folder / "b.json"), "\"hits\": 2"));
  EXPECT_EQ(folder.Names().size(), 2u);  // no draft
  m.file.Stop();
}

TEST(MetricsFile, IsWrittenAgainAndAgain) {
  const Folder folder;
  Metrics m;
  Region& region = m.registry.InternRegion("r", "f");
  m.file.SetPath(folder / "a.json");
  region.counters.hits = 77;
  bool seen = false;
  for (int i = 0; i < 1000 && !seen; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    seen = Contains(Read(folder / "a.json"), "\"hits\": 77");
  }
  EXPECT_TRUE(seen);
  m.file.Stop();
}

TEST(MetricsFile, NamesTheProcessAndTheSchema) {
  const Folder folder;
  Metrics m;
  m.file.SetPath(folder / "%p.json");
  m.file.Stop();
  const std::string pid = std::to_string(getpid());
  const std::string json = Read(folder / (pid + ".json"));
  EXPECT_EQ(json.rfind("{\"schema\": 1, \"time\": ", 0), 0u);
  EXPECT_TRUE(Contains(json, ", \"pid\": " + pid + ", \"version\": \"" ACTCACHE_VERSION "\""));
  EXPECT_TRUE(Contains(json, ", \"forked\": false, \"regions\": {}, \"store\": {"));
}

TEST(MetricsFile, AReaderNeverSeesAPart) {
  const Folder folder;
  Metrics m;
  for (int i = 0; i < 200; ++i) m.registry.InternRegion(std::to_string(i), "f");
  m.file.SetPath(folder / "a.json");
  m.file.Stop();
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < testing_support::Rounds(100); ++i) {
      m.file.SetPath(folder / "a.json");
      m.file.Stop();
    }
    done = true;
  });
  while (!done) {
    const std::string json = Read(folder / "a.json");
    ASSERT_EQ(json.substr(0, 12), "{\"schema\": 1");
    ASSERT_EQ(json.substr(json.size() - 2), "}\n");
  }
  writer.join();
}

TEST(MetricsFile, ADiskThatTakesNothingIsTriedAgain) {
  const Folder folder;
  Metrics m;
  fs::create_directory(folder / "gone");
  m.file.SetPath(folder / "gone/a.json");
  fs::rename(folder / "gone", folder / "elsewhere");  // at once, whatever is written just now
  std::this_thread::sleep_for(std::chrono::nanoseconds(MetricsWriter::kPeriodNs));
  fs::create_directory(folder / "gone");
  m.file.Stop();
  EXPECT_TRUE(Contains(Read(folder / "gone/a.json"), "\"schema\": 1"));
}

TEST(MetricsFile, ADiskThatHangsKeepsNobody) {
  const Folder folder;
  // What hangs is the snapshot: a disk cannot be told to.
  const auto hangs = std::make_shared<std::atomic<bool>>(true);
  const std::shared_ptr<MetricsWriter> writer = MetricsWriter::Start(folder / "a.json", [hangs] {
    while (*hangs) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return std::string("late");
  });
  writer->Stop();
  EXPECT_TRUE(*hangs);
  const std::size_t threads = Threads();
  *hangs = false;
  EXPECT_TRUE(ThreadsBecome(threads - 1));
  EXPECT_EQ(Read(folder / "a.json"), "late");
}

TEST(MetricsFile, SaysWhatIsInTheWay) {
  const Folder folder;
  EXPECT_EQ(MetricsFile::Obstacle(""), std::nullopt);
  EXPECT_EQ(MetricsFile::Obstacle(folder / "a.json"), std::nullopt);
  EXPECT_TRUE(folder.Names().empty());
  EXPECT_TRUE(
      Contains(*MetricsFile::Obstacle(folder / "none/a.json"), "No such file or directory"));
  EXPECT_TRUE(Contains(*MetricsFile::Obstacle(folder / std::string(255, 'a')), "too long"));
  EXPECT_TRUE(Contains(*MetricsFile::Obstacle("/dev/null"), "not a regular file"));
  EXPECT_TRUE(Contains(*MetricsFile::Obstacle(folder / ""), "not a regular file"));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(Contains(*MetricsFile::Obstacle(folder / "fifo"), "not a regular file"));
  EXPECT_TRUE(MetricsFile::Obstacle("/proc/a.json").has_value());
}

TEST(MetricsFile, FollowsNoLinkThatSomebodyPutInTheDraftsPlace) {
  const Folder folder;
  Metrics m;
  std::ofstream(folder / "precious") << "kept";
  fs::create_symlink(folder / "precious", MetricsWriter::DraftPath(folder / "a.json"));
  m.file.SetPath(folder / "a.json");
  m.file.Stop();
  EXPECT_EQ(Read(folder / "precious"), "kept");
  EXPECT_TRUE(Contains(Read(folder / "a.json"), "\"schema\": 1"));
}

TEST(Prometheus, LabelsAreEscaped) {
  EXPECT_EQ(PrometheusLabel("plain ä"), "\"plain ä\"");
  EXPECT_EQ(PrometheusLabel("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
  EXPECT_EQ(PrometheusLabel("a\xff"), "\"a\xef\xbf\xbd\"");
}

TEST(Prometheus, OutcomesAreDisjoint) {
  Metrics m;
  RegionCounters& counters = m.registry.InternRegion("r", "f").counters;
  counters.hits = 100;
  counters.duplicates = 20;
  counters.joined = 3;
  counters.misses = 50;
  counters.expired = 5;
  counters.verified = 7;
  counters.bypassed = 9;
  counters.saved_ns = 1500000000;
  const std::string text = PrometheusText(m.registry, m.store).Render();
  const std::map<std::string, int> outcomes = {{"hit", 77},    {"duplicate", 20}, {"joined", 3},
                                               {"miss", 38},   {"expired", 5},    {"verified", 7},
                                               {"bypassed", 9}};
  for (const auto& [outcome, rows] : outcomes) {
    EXPECT_TRUE(Contains(text, "\nactcache_rows_total{region=\"r\",fingerprint=\"f\",outcome=\"" +
                                   outcome + "\"} " + std::to_string(rows) + "\n"));
  }
  EXPECT_TRUE(Contains(
      text, "\nactcache_saved_seconds_total{region=\"r\",fingerprint=\"f\"} 1.500000000\n"));
}

TEST(Prometheus, CountersNeverGoBack) {
  Metrics m;
  RegionCounters& counters = m.registry.InternRegion("r", "f").counters;
  PrometheusText text(m.registry, m.store);
  const std::string hits = "outcome=\"hit\"} ";
  counters.hits = 8;  // read before the duplicates among them were counted
  EXPECT_TRUE(Contains(text.Render(), hits + "8\n"));
  counters.duplicates = 4;
  EXPECT_TRUE(Contains(text.Render(), hits + "8\n"));
  counters.hits = 16;
  EXPECT_TRUE(Contains(text.Render(), hits + "12\n"));
}

}  // namespace
}  // namespace actcache
