// The remote tier over TLS, with a certificate made for the test.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "tier/remote/tls.h"
#include "tier_remote_testing.h"

namespace actcache {
namespace {

// Makes NAME.crt and NAME.key for `subject` in the folder; false without openssl's program.
bool MakeCertificate(const std::string& folder, const std::string& name,
                     const std::string& subject) {
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
      "/CN=test " +
      ("-addext subjectAltName=" + subject) + " -keyout " + folder + "/" + name + ".key -out " +
      folder + "/" + name + ".crt 2>/dev/null";
  return std::system(command.c_str()) == 0;
}

class RemoteTlsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!ServerProcess::Installed()) GTEST_SKIP() << ServerProcess::kNotInstalled;
    if (!TlsBuilt()) GTEST_SKIP() << "this build has no TLS: apt-get install libssl-dev";
    char name[] = "/tmp/actcache-tls-XXXXXX";
    folder_ = mkdtemp(name);
    if (!MakeCertificate(folder_, "server", "IP:127.0.0.1") ||
        !MakeCertificate(folder_, "named", "DNS:localhost") ||
        !MakeCertificate(folder_, "other", "DNS:elsewhere.example")) {
      GTEST_SKIP() << "openssl is not installed: apt-get install openssl";
    }
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // A server with TLS that shows the certificate with this name.
  std::unique_ptr<ServerProcess> Serve(const std::string& name, const std::string& clients = "no") {
    port_ = ServerProcess::FreePort();
    return std::make_unique<ServerProcess>(std::vector<std::string>{
        "--tls-port", std::to_string(port_), "--tls-cert-file", folder_ + "/" + name + ".crt",
        "--tls-key-file", folder_ + "/" + name + ".key", "--tls-ca-cert-file",
        folder_ + "/server.crt", "--tls-auth-clients", clients});
  }
  RemoteServer Trusting(const std::string& name, const std::string& host = "127.0.0.1") const {
    RemoteServer server = At("rediss://" + host + ":" + std::to_string(port_));
    server.tls.authorities = folder_ + "/" + name + ".crt";
    return server;
  }
  // Why a tier for this server is not available.
  static std::string ProblemOf(const RemoteServer& server) {
    const auto tier = MakeTier(server);
    EXPECT_FALSE(GetOne(*tier, 1));
    EXPECT_FALSE(tier->available());
    return tier->problem();
  }

  std::string folder_;
  std::uint16_t port_ = 0;
};

TEST_F(RemoteTlsTest, WhatOneStoresAnotherFinds) {
  const auto server = Serve("server");
  const auto tier = MakeTier(Trusting("server"));
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{100'000}, std::size_t{5} << 20}) {
    PutOne(*tier, bytes, bytes);
    EXPECT_TRUE(IsRecordOf(GetOne(*MakeTier(Trusting("server")), bytes), bytes, bytes)) << bytes;
  }
  EXPECT_EQ(tier->stats().errors, 0u);
}

TEST_F(RemoteTlsTest, AServerThatNobodyVouchesForIsRefused) {
  const auto server = Serve("server");
  EXPECT_NE(ProblemOf(Trusting("other")).find("certificate is not accepted"), std::string::npos);
  RemoteServer system = Trusting("server");
  system.tls.authorities.clear();
  EXPECT_NE(ProblemOf(system).find("certificate is not accepted"), std::string::npos);
}

TEST_F(RemoteTlsTest, ACertificateOfAnotherHostIsRefused) {
  const auto server = Serve("other");
  EXPECT_NE(ProblemOf(Trusting("other")).find("certificate is not accepted"), std::string::npos);
}

TEST_F(RemoteTlsTest, AHostIsKnownByItsNameToo) {
  {
    const auto server = Serve("named");
    PutOne(*MakeTier(Trusting("named", "localhost")), 1, 10);
    EXPECT_NE(ProblemOf(Trusting("named")).find("certificate is not accepted"), std::string::npos);
  }
  const auto server = Serve("other");
  EXPECT_NE(ProblemOf(Trusting("other", "localhost")).find("certificate is not accepted"),
            std::string::npos);
}

TEST_F(RemoteTlsTest, AServerWithoutTlsIsRefused) {
  const ServerProcess server;
  port_ = server.port();
  EXPECT_NE(ProblemOf(Trusting("server")), "");
}

TEST_F(RemoteTlsTest, AServerMayWantACertificateOfTheClient) {
  const auto server = Serve("server", "yes");
  EXPECT_NE(ProblemOf(Trusting("server")), "");
  RemoteServer known = Trusting("server");
  known.tls.certificate = folder_ + "/server.crt";
  known.tls.key = folder_ + "/server.key";
  PutOne(*MakeTier(known), 1, 10);
}

TEST_F(RemoteTlsTest, FilesThatAreNoneAreNamed) {
  const auto server = Serve("server");
  RemoteServer missing = Trusting("missing");
  EXPECT_NE(ProblemOf(missing).find("remote_ca_file " + missing.tls.authorities),
            std::string::npos);
}

TEST_F(RemoteTlsTest, ASilentServerCostsOneDeadline) {
  const BlackHole hole;
  port_ = hole.port();
  const auto tier = MakeTier(Trusting("server"));
  EXPECT_FALSE(GetOne(*tier, 1, 20'000'000));
  EXPECT_FALSE(tier->available());
}

#if !defined(__SANITIZE_THREAD__)
TEST_F(RemoteTlsTest, AChildHasConnectionsOfItsOwn) {
  const auto server = Serve("server");
  const auto tier = MakeTier(Trusting("server"));
  ExpectParentAndChildRead(*tier);
}
#endif

}  // namespace
}  // namespace actcache
