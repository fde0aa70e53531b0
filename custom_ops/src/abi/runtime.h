// A thin C++ layer over the C ABI: statuses become exceptions inside the library and exceptions
// become statuses at its edge. Nothing is ever thrown across that edge: every callback that
// onnxruntime calls runs its body inside Guard().
#ifndef ACTCACHE_ABI_RUNTIME_H_
#define ACTCACHE_ABI_RUNTIME_H_

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "abi/onnxruntime_abi.h"

namespace actcache::ort {

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// Takes ownership of `status`; throws Error when it is not null.
inline void Check(const Api* api, Status* status) {
  if (status == nullptr) return;
  const ErrorCode code = slot::GetErrorCode(api, status);
  std::string message;
  try {
    message = slot::GetErrorMessage(api, status);
  } catch (...) {
    slot::ReleaseStatus(api, status);
    throw;
  }
  slot::ReleaseStatus(api, status);
  throw Error(code, message);
}

// Calls a slot that returns a status.
template <typename SlotType, typename... Args>
void Call(const Api* api, const SlotType& function, Args... args) {
  Check(api, function(api, args...));
}

// Runs `body`; whatever it throws comes back as a status with its message.
template <typename Body>
Status* Guard(const Api* api, Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return nullptr;
  } catch (const Error& error) {
    return slot::CreateStatus(api, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return slot::CreateStatus(api, ErrorCode::kFail, "actcache: out of memory");
  } catch (const std::exception& error) {
    return slot::CreateStatus(api, ErrorCode::kRuntimeException, error.what());
  } catch (...) {
    return slot::CreateStatus(api, ErrorCode::kRuntimeException, "actcache: unknown error");
  }
}

// Owns an object of the runtime that its caller has to release.
template <typename T, typename Release>
class Handle {
 public:
  Handle(const Api* api, T* object, const Release& release)
      : api_(api), object_(object), release_(release) {}
  ~Handle() { release_(api_, object_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  T* get() const { return object_; }

 private:
  const Api* api_;
  T* object_;
  const Release& release_;  // a slot, which lives as long as the library
};

// Reads a string of unknown length from a slot that fills (buffer, size), size counting the NUL.
template <typename Read>
std::string ReadString(const Api* api, Read&& read) {
  std::size_t size = 0;
  Check(api, read(nullptr, &size));
  std::string text(size, '\0');
  Check(api, read(text.data(), &size));
  text.resize(size == 0 ? 0 : size - 1);
  return text;
}

}  // namespace actcache::ort

#endif  // ACTCACHE_ABI_RUNTIME_H_
