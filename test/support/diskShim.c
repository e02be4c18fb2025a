/*
 * Loaded into a process (LD_PRELOAD), it meddles with what the process does to files of one directory. From the environment:
 *   DISK_SHIM_DIR    paths that begin with it are concerned
 *   DISK_SHIM_MATCH  of these, those that contain it; all when unset
 *   DISK_SHIM_OPS    of write, sync, truncate, create, rename, unlink: those that count; all when unset
 *   DISK_SHIM_AT     number of the operation, from 1, at which it begins; counted in each process for itself
 *   DISK_SHIM_DO     nosync: every sync does nothing and says that it did, O_DSYNC too (without a number)
 *                    errno N: the operation fails and is not done; so do all after it if DISK_SHIM_STICKY is set
 *                    short: the write takes half of the bytes
 *                    slow N: the operation begins N milliseconds later; each of them, with a line in the log
 *                    kill: SIGKILL before the operation, also to the parent if that is the server (DISK_SHIM_PARENT is its name)
 *   DISK_SHIM_LOG    a file, to which a line is appended when it begins: milliseconds, process id, operation, path
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { DO_NOTHING, DO_NOSYNC, DO_ERRNO, DO_SHORT, DO_KILL, DO_SLOW };

static const char *directory, *match, *ops, *log_file;
static int action, error_number, is_sticky, kills_parent, slow_ms;
static long at;
static atomic_long count;

static long env_number(const char *name) {
  const char *text = getenv(name);
  return text ? atol(text) : 0;
}

__attribute__((constructor)) static void configure(void) {
  const char *what = getenv("DISK_SHIM_DO");
  directory = getenv("DISK_SHIM_DIR");
  match = getenv("DISK_SHIM_MATCH");
  ops = getenv("DISK_SHIM_OPS");
  log_file = getenv("DISK_SHIM_LOG");
  at = env_number("DISK_SHIM_AT");
  is_sticky = env_number("DISK_SHIM_STICKY");
  kills_parent = getenv("DISK_SHIM_PARENT") != NULL && getppid() == env_number("DISK_SHIM_PARENT");
  if (!directory || !what) return;
  if (!strcmp(what, "nosync")) action = DO_NOSYNC;
  else if (!strcmp(what, "short")) action = DO_SHORT;
  else if (!strcmp(what, "kill")) action = DO_KILL;
  else if (!strncmp(what, "slow ", 5)) { action = DO_SLOW; slow_ms = atoi(what + 5); }
  else if (!strncmp(what, "errno ", 6)) { action = DO_ERRNO; error_number = atoi(what + 6); }
}

static void begin_log(const char *op, const char *path) {
  char line[1200];
  struct timespec now;
  if (!log_file) return;
  clock_gettime(CLOCK_REALTIME, &now);
  int length = snprintf(line, sizeof line, "%lld %d %s %s\n", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, getpid(), op, path);
  int fd = syscall(SYS_openat, AT_FDCWD, log_file, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, length);
  syscall(SYS_close, fd);
}

/* The action that is due for this operation. */
static int due(const char *op, const char *path) {
  if (action == DO_NOTHING || action == DO_NOSYNC) return DO_NOTHING;
  if (strncmp(path, directory, strlen(directory)) || (match && !strstr(path, match))) return DO_NOTHING;
  if (ops && !strstr(ops, op)) return DO_NOTHING;
  if (action == DO_SLOW) {
    begin_log(op, path);
    usleep(slow_ms * 1000);
    return DO_NOTHING;
  }
  long n = atomic_fetch_add(&count, 1) + 1;
  if (n < at || (n > at && !is_sticky)) return DO_NOTHING;
  if (n == at) begin_log(op, path);
  if (action == DO_KILL) {
    if (kills_parent) kill(getppid(), SIGKILL);
    kill(getpid(), SIGKILL);
  }
  return action;
}

static int due_fd(const char *op, int fd) {
  char link[64], path[1024];
  if (action == DO_NOTHING || action == DO_NOSYNC) return DO_NOTHING;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return DO_NOTHING;
  path[length] = 0;
  return due(op, path);
}

static int fails(int what) {
  if (what != DO_ERRNO) return 0;
  errno = error_number;
  return 1;
}

#define REAL(name) static typeof(&name) real; if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

#define WRITER(name, half, ...)                                   \
  {                                                               \
    REAL(name);                                                   \
    int what = due_fd("write", fd);                               \
    if (fails(what)) return -1;                                   \
    if (what == DO_SHORT) half;                                   \
    return real(__VA_ARGS__);                                     \
  }

ssize_t write(int fd, const void *bytes, size_t length) WRITER(write, length = (length + 1) / 2, fd, bytes, length)
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
  WRITER(pwrite, length = (length + 1) / 2, fd, bytes, length, offset)
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
  WRITER(pwrite64, length = (length + 1) / 2, fd, bytes, length, offset)
ssize_t writev(int fd, const struct iovec *parts, int n) WRITER(writev, n = (n + 1) / 2, fd, parts, n)
ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
  WRITER(pwritev, n = (n + 1) / 2, fd, parts, n, offset)
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset)
  WRITER(pwritev64, n = (n + 1) / 2, fd, parts, n, offset)

#define FD_CALL(name, op, ...)                                    \
  {                                                               \
    REAL(name);                                                   \
    if (fails(due_fd(op, fd))) return -1;                         \
    return real(__VA_ARGS__);                                     \
  }

int ftruncate(int fd, off_t length) FD_CALL(ftruncate, "truncate", fd, length)
int ftruncate64(int fd, off64_t length) FD_CALL(ftruncate64, "truncate", fd, length)

int fsync(int fd) {
  if (action == DO_NOSYNC) return 0;
  FD_CALL(fsync, "sync", fd)
}
int fdatasync(int fd) {
  if (action == DO_NOSYNC) return 0;
  FD_CALL(fdatasync, "sync", fd)
}
int msync(void *address, size_t length, int flags) {
  REAL(msync);
  return action == DO_NOSYNC ? 0 : real(address, length, flags);
}

#define PATH_CALL(name, op, ...)                                  \
  {                                                               \
    REAL(name);                                                   \
    if (fails(due(op, path))) return -1;                          \
    return real(__VA_ARGS__);                                     \
  }

int rename(const char *path, const char *to) PATH_CALL(rename, "rename", path, to)
int unlink(const char *path) PATH_CALL(unlink, "unlink", path)

#define OPENER(name, ...)                                         \
  {                                                               \
    REAL(name);                                                   \
    va_list rest;                                                 \
    va_start(rest, flags);                                        \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;     \
    va_end(rest);                                                 \
    if (action == DO_NOSYNC) flags &= ~(O_DSYNC | O_SYNC);        \
    if (flags & O_CREAT && fails(due("create", path))) return -1; \
    return real(__VA_ARGS__, flags, mode);                        \
  }

int open(const char *path, int flags, ...) OPENER(open, path)
int open64(const char *path, int flags, ...) OPENER(open64, path)
int openat(int at_fd, const char *path, int flags, ...) OPENER(openat, at_fd, path)
int openat64(int at_fd, const char *path, int flags, ...) OPENER(openat64, at_fd, path)
