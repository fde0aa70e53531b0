// The memory may only be read. Whoever writes to it gets SIGSEGV, whose handler tells of the store,
// lets it through, and has the processor stop behind it (SIGTRAP), where writing is forbidden
// again.
#include "faults/mapped_stores.h"

#if defined(__x86_64__)

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace actcache::faults {
namespace {

struct Piece {
  char* begin = nullptr;
  std::size_t size = 0;
};

constexpr std::size_t kMostPieces = 64;
// The processor's flag that stops it behind the next instruction.
constexpr greg_t kTrapFlag = 0x100;

Piece pieces[kMostPieces];
void (*tell)() = nullptr;

void Allow(int access) {
  for (const Piece& piece : pieces) {
    if (piece.begin != nullptr) mprotect(piece.begin, piece.size, access);
  }
}

bool IsWatched(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const Piece& piece : pieces) {
    const auto begin = reinterpret_cast<std::uintptr_t>(piece.begin);
    if (begin != 0 && at >= begin && at < begin + piece.size) return true;
  }
  return false;
}

greg_t& Register(void* context, int name) {
  return static_cast<ucontext_t*>(context)->uc_mcontext.gregs[name];
}

// Does what "rep stos" or "rep movs" does, which would stop behind every byte. It is one store.
// False: it is another instruction.
bool Repeat(void* context) {
  const auto* const code = reinterpret_cast<const unsigned char*>(Register(context, REG_RIP));
  if (code[0] != 0xF3) return false;
  const bool wide = code[1] == 0x48;
  const unsigned char operation = code[wide ? 2 : 1];
  const bool moves = operation == 0xA4 || operation == 0xA5;
  if (!moves && operation != 0xAA && operation != 0xAB) return false;
  const greg_t width = operation % 2 == 0 ? 1 : wide ? 8 : 4;
  const greg_t size = Register(context, REG_RCX) * width;
  const greg_t value = Register(context, REG_RAX);
  auto* const to = reinterpret_cast<char*>(Register(context, REG_RDI));
  const auto* const from = moves ? reinterpret_cast<const char*>(Register(context, REG_RSI))
                                 : reinterpret_cast<const char*>(&value);
  for (greg_t at = 0; at < size; ++at) to[at] = from[moves ? at : at % width];
  Register(context, REG_RDI) += size;
  if (moves) Register(context, REG_RSI) += size;
  Register(context, REG_RCX) = 0;
  Register(context, REG_RIP) += wide ? 3 : 2;
  return true;
}

void OnFault(int, siginfo_t* fault, void* context) {
  if (!IsWatched(fault->si_addr)) {
    std::signal(SIGSEGV, SIG_DFL);  // the instruction runs again, and ends the process
    return;
  }
  tell();
  Allow(PROT_READ | PROT_WRITE);
  if (Repeat(context)) {
    Allow(PROT_READ);
  } else {
    Register(context, REG_EFL) |= kTrapFlag;
  }
}

void OnTrap(int, siginfo_t*, void* context) {
  Register(context, REG_EFL) &= ~kTrapFlag;
  Allow(PROT_READ);
}

void Handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action{};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void WatchStores(void* memory, std::size_t size, void (*before)()) {
  for (Piece& piece : pieces) {
    if (piece.begin != nullptr) continue;
    tell = before;
    Handle(SIGSEGV, OnFault);
    Handle(SIGTRAP, OnTrap);
    piece = {static_cast<char*>(memory), size};
    mprotect(memory, size, PROT_READ);
    return;
  }
  _exit(98);  // more pieces than anybody maps
}

void ForgetStores(void* memory) {
  for (Piece& piece : pieces) {
    if (piece.begin == memory) piece = {};
  }
}

}  // namespace actcache::faults

#else

namespace actcache::faults {

void WatchStores(void*, std::size_t, void (*)()) {}
void ForgetStores(void*) {}

}  // namespace actcache::faults

#endif
