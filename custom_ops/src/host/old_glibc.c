// Lets a library that was linked with a newer glibc load beside glibc 2.28 (manylinux_2_28).
//
// A linker binds each function to the newest version that the machine's glibc has. Nothing here
// needs what is new in those: glibc 2.34 moved threads and dlopen() into libc, 2.33 made stat() a
// function. So every such call, those of the static C++ runtime included, is led here by --wrap
// (CMakeLists.txt has the list) and on to the version that all have.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#define NAMED "GLIBC_2.12"
#define OLDEST_STATAT "GLIBC_2.4"
#define STAT_VERSION 1
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#define NAMED "GLIBC_2.17"
#define OLDEST_STATAT "GLIBC_2.17"
#define STAT_VERSION 0
#else
#error "the versions of this processor's glibc are not known here"
#endif

#define LED_TO(version, result, name, old, parameters, arguments) \
  result old_##name parameters;                                   \
  __asm__(".symver old_" #name "," #old "@" version);             \
  result __wrap_##name parameters;                                \
  result __wrap_##name parameters { return old_##name arguments; }
#define OLD(result, name, parameters, arguments) \
  LED_TO(OLDEST, result, name, name, parameters, arguments)

OLD(int, pthread_create,
    (pthread_t * thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument),
    (thread, attributes, start, argument))
OLD(int, pthread_join, (pthread_t thread, void** result), (thread, result))
OLD(int, pthread_detach, (pthread_t thread), (thread))
OLD(int, pthread_once, (pthread_once_t * once, void (*function)(void)), (once, function))
OLD(int, pthread_key_create, (pthread_key_t * key, void (*end)(void*)), (key, end))
OLD(int, pthread_key_delete, (pthread_key_t key), (key))
OLD(void*, pthread_getspecific, (pthread_key_t key), (key))
OLD(int, pthread_setspecific, (pthread_key_t key, const void* value), (key, value))
OLD(int, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
OLD(int, pthread_mutexattr_init, (pthread_mutexattr_t * attributes), (attributes))
OLD(int, pthread_mutexattr_settype, (pthread_mutexattr_t * attributes, int type),
    (attributes, type))
OLD(int, pthread_mutexattr_destroy, (pthread_mutexattr_t * attributes), (attributes))
OLD(int, pthread_rwlock_init, (pthread_rwlock_t * lock, const pthread_rwlockattr_t* attributes),
    (lock, attributes))
OLD(int, pthread_rwlock_destroy, (pthread_rwlock_t * lock), (lock))
OLD(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
OLD(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock))
OLD(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
OLD(int, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
OLD(int, pthread_sigmask, (int how, const sigset_t* set, sigset_t* before), (how, set, before))
LED_TO(NAMED, int, pthread_setname_np, pthread_setname_np, (pthread_t thread, const char* name),
       (thread, name))
LED_TO(OLDEST, int, __pthread_key_create, pthread_key_create,
       (pthread_key_t * key, void (*end)(void*)), (key, end))

OLD(void*, dlopen, (const char* file, int mode), (file, mode))
OLD(void*, dlsym, (void* restrict handle, const char* restrict name), (handle, name))
OLD(int, dlclose, (void* handle), (handle))
OLD(char*, dlerror, (void), ())
OLD(int, dladdr, (const void* address, Dl_info* found), (address, found))

#define OLD_STAT(name, old, type, structure)                        \
  int old_##name(int version, type where, struct structure* found); \
  __asm__(".symver old_" #name "," #old "@" OLDEST);                \
  int __wrap_##name(type where, struct structure* found);           \
  int __wrap_##name(type where, struct structure* found) {          \
    return old_##name(STAT_VERSION, where, found);                  \
  }

OLD_STAT(stat, __xstat, const char*, stat)
OLD_STAT(lstat, __lxstat, const char*, stat)
OLD_STAT(fstat, __fxstat, int, stat)
OLD_STAT(stat64, __xstat64, const char*, stat)
OLD_STAT(lstat64, __lxstat64, const char*, stat)
OLD_STAT(fstat64, __fxstat64, int, stat)

int old_fstatat(int version, int folder, const char* name, struct stat* found, int flags);
__asm__(".symver old_fstatat,__fxstatat@" OLDEST_STATAT);
int __wrap_fstatat(int folder, const char* name, struct stat* found, int flags);
int __wrap_fstatat(int folder, const char* name, struct stat* found, int flags) {
  return old_fstatat(STAT_VERSION, folder, name, found, flags);
}

// New in 2.30. The two clocks tell different times, so what is left until then is asked of the one
// that is known.
int __wrap_pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                  clockid_t clock, const struct timespec* until);
int __wrap_pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                  clockid_t clock, const struct timespec* until) {
  if (clock == CLOCK_REALTIME) return pthread_cond_timedwait(condition, mutex, until);
  struct timespec now, wall;
  if (clock_gettime(clock, &now) != 0 || clock_gettime(CLOCK_REALTIME, &wall) != 0) return errno;
  wall.tv_sec += until->tv_sec - now.tv_sec;
  wall.tv_nsec += until->tv_nsec - now.tv_nsec;
  if (wall.tv_nsec < 0) {
    wall.tv_nsec += 1000000000L;
    wall.tv_sec -= 1;
  } else if (wall.tv_nsec >= 1000000000L) {
    wall.tv_nsec -= 1000000000L;
    wall.tv_sec += 1;
  }
  return pthread_cond_timedwait(condition, mutex, &wall);
}

// New in 2.36. The C++ runtime's random_device asks it.
unsigned int __wrap_arc4random(void);
unsigned int __wrap_arc4random(void) {
  unsigned int number = 0;
  while (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number)) {
  }
  return number;
}

// New in 2.32: whether there is one thread. There may be more.
char __libc_single_threaded __attribute__((visibility("hidden"))) = 0;
