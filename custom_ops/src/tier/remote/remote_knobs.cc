#include "tier/remote/remote_knobs.h"

#include <unistd.h>

#include <fstream>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <utility>

#include "hash/digest.h"
#include "tier/remote/remote_tier.h"
#include "tier/remote/valkey_connector.h"

namespace actcache {
namespace {

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

void CheckReadable(const char* knob, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return;
  Fail(std::string(knob) + " is " + path + ", which cannot be read");
}

std::string SecretText(const RemoteKnobs& knobs) {
  if (!knobs.secret.empty()) return knobs.secret;
  if (knobs.secret_file.empty()) {
    Fail("remote_url needs the secret that all machines share: set remote_secret_file first");
  }
  std::ifstream file(knobs.secret_file);
  std::string line;
  if (!std::getline(file, line) || line.size() < kLeastSecretBytes) {
    Fail("remote_secret_file is " + knobs.secret_file +
         ", whose first line has to be a secret of " + std::to_string(kLeastSecretBytes) +
         " bytes or more, as `openssl rand -hex 32` writes it");
  }
  return line;
}

DigestKey SecretOf(const RemoteKnobs& knobs) {
  return DeriveKey(DigestOf({SecretText(knobs)}), "actcache remote tier");
}

std::uint64_t RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

std::optional<std::string> RemoteUrlObstacle(const std::string& url) {
  RemoteUrl read;
  static_cast<void>(ParseRemoteUrl(url, &read));
  if (read.kind != RemoteUrl::Kind::kTls || TlsBuilt()) return std::nullopt;
  return "this build has no TLS: install libssl-dev and build again, or use redis://";
}

std::unique_ptr<RemoteTier> OpenRemoteTier(const RemoteKnobs& knobs) {
  RemoteServer server;
  if (const char* const problem = ParseRemoteUrl(knobs.url, &server.url)) {
    Fail(std::string("the address remote_url ") + problem);
  }
  if (knobs.cert_file.empty() != knobs.key_file.empty()) {
    Fail("remote_cert_file and remote_key_file go together: set both, before remote_url");
  }
  CheckReadable("remote_password_file", knobs.password_file);
  if (server.url.kind == RemoteUrl::Kind::kTls) {
    CheckReadable("remote_ca_file", knobs.ca_file);
    CheckReadable("remote_cert_file", knobs.cert_file);
    CheckReadable("remote_key_file", knobs.key_file);
  }
  server.password_file = knobs.password_file;
  server.tls = {knobs.ca_file, knobs.cert_file, knobs.key_file};
  auto tier = std::make_unique<RemoteTier>(
      RemoteSettings{SecretOf(knobs), knobs.ttl_ns, knobs.max_value_bytes},
      std::make_shared<ValkeyConnector>(std::move(server)), std::make_shared<SteadyTime>(),
      RandomSeed(), Background::kThread);
  tier->Start();
  return tier;
}

}  // namespace actcache
