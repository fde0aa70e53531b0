#include "tier_remote_testing.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valkey/valkey.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

extern char** environ;

namespace actcache {
namespace {

std::string Program() {
  const char* const path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  for (const char* const name : {"valkey-server", "redis-server"}) {
    for (std::size_t begin = 0; begin <= rest.size();) {
      const std::size_t end = std::min(rest.find(':', begin), rest.size());
      const std::string program = rest.substr(begin, end - begin) + "/" + name;
      if (access(program.c_str(), X_OK) == 0) return program;
      begin = end + 1;
    }
  }
  return {};
}

// A listening socket on a free port of this machine.
int Listen(std::uint16_t* port) {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(made, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(made, 64), 0);
  EXPECT_EQ(getsockname(made, reinterpret_cast<sockaddr*>(&address), &size), 0);
  *port = ntohs(address.sin_port);
  return made;
}

std::string TextOf(const valkeyReply* reply) {
  if (reply == nullptr || reply->type == VALKEY_REPLY_NIL) return {};
  if (reply->type == VALKEY_REPLY_INTEGER) return std::to_string(reply->integer);
  return reply->str == nullptr ? std::string() : std::string(reply->str, reply->len);
}

unsigned char PayloadByte(std::uint64_t number, std::size_t i) {
  return static_cast<unsigned char>((number * 0x9E3779B97F4A7C15ull + i * 0x2545F4914F6CDD1Dull) >>
                                    37);
}

}  // namespace

bool ServerProcess::Installed() { return !Program().empty(); }

std::uint16_t ServerProcess::FreePort() {
  std::uint16_t port = 0;
  close(Listen(&port));
  return port;
}

ServerProcess::ServerProcess(std::vector<std::string> options)
    : options_(std::move(options)), port_(FreePort()) {
  char name[] = "/tmp/actcache-server-XXXXXX";
  folder_ = mkdtemp(name);
  Start();
}

ServerProcess::~ServerProcess() {
  Stop();
  std::filesystem::remove_all(folder_);
}

void ServerProcess::Start() {
  const std::string program = Program();
  std::vector<std::string> words = {
      program,  "--port",    std::to_string(port_), "--unixsocket", socket(),
      "--save", "",          "--appendonly",        "no",           "--dir",
      folder_,  "--logfile", folder_ + "/log"};
  words.insert(words.end(), options_.begin(), options_.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ASSERT_EQ(posix_spawn(&process_, program.c_str(), nullptr, nullptr, arguments.data(), environ),
            0);
  Await([this] {
    valkeyContext* const connection = valkeyConnectUnix(socket().c_str());
    const bool answers = connection != nullptr && connection->err == 0;
    valkeyFree(connection);
    return answers;
  });
}

void ServerProcess::Stop() {
  if (process_ < 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
  unlink(socket().c_str());
}

void ServerProcess::Signal(int signal) const { kill(process_, signal); }

std::string ServerProcess::Command(const std::vector<std::string>& words) const {
  const std::unique_ptr<valkeyContext, decltype(&valkeyFree)> connection(
      valkeyConnectUnix(socket().c_str()), &valkeyFree);
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  auto* const reply = static_cast<valkeyReply*>(valkeyCommandArgv(
      connection.get(), static_cast<int>(words.size()), texts.data(), sizes.data()));
  std::string text = TextOf(reply);
  if (reply != nullptr) freeReplyObject(reply);
  return text;
}

BrokenServer::BrokenServer(Answer answer, bool greets)
    : answer_(std::move(answer)), greets_(greets), listening_(Listen(&port_)) {
  thread_ = std::thread([this] { Serve(); });
}

BrokenServer::~BrokenServer() {
  ending_ = true;
  thread_.join();
  close(listening_);
}

void BrokenServer::Send(int connection, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t some = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (some <= 0) return;
    sent += static_cast<std::size_t>(some);
  }
}

void BrokenServer::Serve() {
  std::vector<std::thread> talks;
  while (!ending_) {
    pollfd polled = {listening_, POLLIN, 0};
    if (poll(&polled, 1, 10) <= 0) continue;
    const int connection = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) talks.emplace_back([this, connection] { Talk(connection); });
  }
  for (std::thread& talk : talks) talk.join();
}

void BrokenServer::Talk(int connection) {
  const std::unique_ptr<valkeyReader, decltype(&valkeyReaderFree)> reader(valkeyReaderCreate(),
                                                                          &valkeyReaderFree);
  bool going_on = true;
  while (going_on && !ending_) {
    pollfd polled = {connection, POLLIN, 0};
    if (poll(&polled, 1, 10) <= 0) continue;
    char bytes[16384];
    const ssize_t read = recv(connection, bytes, sizeof(bytes), 0);
    if (read <= 0) break;
    valkeyReaderFeed(reader.get(), bytes, static_cast<std::size_t>(read));
    void* command = nullptr;
    while (going_on && valkeyReaderGetReply(reader.get(), &command) == VALKEY_OK &&
           command != nullptr) {
      auto* const array = static_cast<valkeyReply*>(command);
      std::vector<std::string> words;
      for (std::size_t i = 0; i < array->elements; ++i) words.push_back(TextOf(array->element[i]));
      freeReplyObject(array);
      if (greets_ && !words.empty() && words[0] == "HELLO") {
        Send(connection, "*2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n");
        continue;
      }
      ++commands_;
      going_on = answer_(connection, words);
    }
  }
  close(connection);
}

BlackHole::BlackHole() : listening_(Listen(&port_)) {}

BlackHole::~BlackHole() { close(listening_); }

RemoteServer At(const std::string& url) {
  RemoteServer server;
  const char* const problem = ParseRemoteUrl(url, &server.url);
  EXPECT_EQ(problem, nullptr) << url;
  return server;
}

std::shared_ptr<RemoteTier> MakeTier(RemoteServer server, const RemoteSettings& settings) {
  return std::make_shared<RemoteTier>(settings,
                                      std::make_shared<ValkeyConnector>(std::move(server)),
                                      std::make_shared<SteadyTime>(), 1, Background::kThread);
}

TierKey KeyOf(std::uint64_t number) {
  TierKey key{};
  std::memcpy(key.data() + 3, &number, sizeof(number));
  return key;
}

Record RecordOf(std::uint64_t number, std::size_t bytes, const DigestKey& secret) {
  RecordFields fields;
  fields.key = KeyOf(number);
  fields.fingerprint = "fingerprint";
  fields.region = "region";
  const TensorSpec spec{2, {static_cast<std::int64_t>(bytes)}, bytes};
  Record record = Record::Make(fields, &spec, 1);
  EXPECT_TRUE(record);
  auto* const payload = reinterpret_cast<unsigned char*>(record.payload(0));
  for (std::size_t i = 0; i < bytes; ++i) payload[i] = PayloadByte(number, i);
  record.Seal(secret);
  return record;
}

bool IsRecordOf(const Record& record, std::uint64_t number, std::size_t bytes) {
  if (!record || record.tensor_count() != 1 || record.spec(0).bytes != bytes) return false;
  const auto* const payload = reinterpret_cast<const unsigned char*>(record.payload(0));
  for (std::size_t i = 0; i < bytes; ++i) {
    if (payload[i] != PayloadByte(number, i)) return false;
  }
  return true;
}

Record GetOne(RemoteTier& tier, std::uint64_t number, std::uint64_t wait_ns) {
  const TierKey key = KeyOf(number);
  Record found;
  tier.Get(&key, 1, SteadyNow() + wait_ns, &found);
  return found;
}

void PutOne(RemoteTier& tier, std::uint64_t number, std::size_t bytes) {
  const Record record = RecordOf(number, bytes);
  const std::uint64_t before = tier.stats().stored;
  Await([&] {
    tier.Put(&record, 1);
    return tier.stats().stored > before;
  });
}

void ExpectParentAndChildRead(RemoteTier& tier) {
  PutOne(tier, 1, 100);
  ASSERT_TRUE(GetOne(tier, 1));
  tier.LockForFork();
  const pid_t child = fork();
  if (child == 0) {
    tier.ReopenInForkedChild();
    bool good = true;
    for (int i = 0; i < 20; ++i) good = good && IsRecordOf(GetOne(tier, 1), 1, 100);
    _exit(good ? 0 : 1);
  }
  tier.UnlockAfterFork();
  ASSERT_GT(child, 0);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(IsRecordOf(GetOne(tier, 1), 1, 100));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

void Await(const std::function<bool()>& state) {
  const std::uint64_t end = SteadyNow() + 30 * kSecondNs;
  while (!state()) {
    ASSERT_LT(SteadyNow(), end) << "waited in vain";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace actcache
