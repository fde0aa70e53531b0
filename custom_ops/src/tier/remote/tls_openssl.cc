#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <valkey/tls.h>
#include <valkey/valkey.h>

#include <memory>

#include "base/mutex.h"
#include "tier/remote/pipe_signal_held.h"
#include "tier/remote/socket.h"
#include "tier/remote/tls.h"

namespace actcache {
namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

Mutex tls_mutex;  // see LockTlsForFork()

// What OpenSSL says of its last error; its own words, nothing that came from the server.
std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  const char* const text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "no reason given" : text;
}

Context MakeContext(const TlsFiles& files, std::string* problem) ACTCACHE_REQUIRES(tls_mutex) {
  // Nothing of the system's configuration, which may name modules of another OpenSSL; and no
  // clearing away at the process's end, while other threads may still be busy.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  const auto fail = [&](const std::string& what) {
    *problem = what + " (" + LastError() + ")";
    return Context(nullptr, &SSL_CTX_free);
  };
  if (context == nullptr) return fail("OpenSSL does not start");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (files.authorities.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else if (SSL_CTX_load_verify_file(context.get(), files.authorities.c_str()) != 1) {
    return fail("remote_ca_file " + files.authorities + " holds no certificates that can be read");
  }
  if (files.certificate.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return fail("remote_cert_file " + files.certificate + " holds no certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail("remote_key_file " + files.key + " holds no key of the certificate");
  }
  return context;
}

// Whom the server has to be.
bool Expect(SSL* session, const std::string& host) ACTCACHE_REQUIRES(tls_mutex) {
  X509_VERIFY_PARAM* const expected = SSL_get0_param(session);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) == 1) return true;
  return SSL_set1_host(session, host.c_str()) == 1 &&
         SSL_set_tlsext_host_name(session, host.c_str()) == 1;
}

std::string HandshakeProblem(const SSL* session) ACTCACHE_REQUIRES(tls_mutex) {
  const long verified = SSL_get_verify_result(session);
  if (verified == X509_V_OK) return "no TLS with the server (" + LastError() + ")";
  return std::string("the server's certificate is not accepted: ") +
         X509_verify_cert_error_string(verified);
}

bool Handshake(int socket, SSL* session, std::uint64_t deadline_ns, std::string* problem)
    ACTCACHE_EXCLUDES(tls_mutex) {
  while (true) {
    short events = 0;
    {
      const MutexLock lock(&tls_mutex);
      ERR_clear_error();
      const int done = SSL_do_handshake(session);
      if (done == 1) return true;
      const int wants = SSL_get_error(session, done);
      if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
        *problem = HandshakeProblem(session);
        return false;
      }
      events = wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    }
    if (!AwaitSocket(socket, events, deadline_ns)) {
      *problem = "the server did not answer the TLS greeting in time";
      return false;
    }
  }
}

}  // namespace

bool TlsBuilt() noexcept { return true; }

bool StartTls(valkeyContext* connection, const TlsFiles& files, const std::string& host,
              std::uint64_t deadline_ns, std::string* problem) {
  const PipeSignalHeld held;
  SSL* session = nullptr;
  {
    const MutexLock lock(&tls_mutex);
    const Context context = MakeContext(files, problem);
    if (context == nullptr) return false;
    Session made(SSL_new(context.get()), &SSL_free);
    if (made == nullptr || !Expect(made.get(), host)) {
      *problem = "OpenSSL makes no session (" + LastError() + ")";
      return false;
    }
    session = made.get();
    if (valkeyInitiateTLS(connection, session) != VALKEY_OK) {
      *problem = HandshakeProblem(session);
      return false;
    }
    [[maybe_unused]] const SSL* const owned = made.release();  // the connection's now
  }
  return Handshake(connection->fd, session, deadline_ns, problem);
}

void FreeConnection(valkeyContext* connection) noexcept {
  const MutexLock lock(&tls_mutex);
  valkeyFree(connection);
}

void LockTlsForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { tls_mutex.Lock(); }
void UnlockTlsAfterFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { tls_mutex.Unlock(); }

}  // namespace actcache
