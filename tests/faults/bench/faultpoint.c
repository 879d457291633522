/* Kills the process, or fails the call, at the n-th file call below a folder, counted over all threads.
   SHIPPER_FAULT names a file that is mapped: see `struct plan`, written by faultpoint.py, which may change it at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, FSYNC = 2, RENAME = 4, UNLINK = 8, TRUNCATE = 16, CREATE = 32, READ = 64, STAT = 128 };
struct plan {
    _Atomic int64_t count; /* calls seen so far */
    int64_t at, times;     /* the first that is hit (1 is the first; 0: none) and how many from there on */
    int64_t number;        /* errno, or 0 to kill */
    int64_t calls;         /* which, as bits above */
    char under[1024], hits[1024];
};
static struct plan *plan;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIPPER_FAULT");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(0, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) plan = page;
    syscall(SYS_close, fd);
}

/* Whether this call fails; errno is set then. */
static int hit(const char *name, const char *path) {
    size_t length = strlen(plan->under);
    if (strncmp(path, plan->under, length) || (path[length] != '/' && path[length])) return 0;
    int64_t n = atomic_fetch_add(&plan->count, 1) + 1;

    if (n < plan->at || n >= plan->at + plan->times) return 0;
    char said[1200];
    const char *last = strrchr(path, '/');
    int size = snprintf(said, sizeof said, "%s %s\n", name, last ? last + 1 : path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, plan->hits, O_WRONLY | O_APPEND | O_CREAT, 0600);
    syscall(SYS_write, fd, said, size);
    syscall(SYS_close, fd);
    if (!plan->number) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = (int)plan->number;
    return 1;
}

static int wanted(int kind) { return plan && plan->at && (plan->calls & kind); }

static int on_fd(int kind, const char *name, int fd) {
    if (!wanted(kind)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0 || path[0] != '/') return 0;
    path[size] = 0;
    return hit(name, path);
}

static int on_path(int kind, const char *name, int dir, const char *path) {
    if (!wanted(kind)) return 0;
    if (path[0] == '/') return hit(name, path);
    char link[64], whole[8192];
    if (dir == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t size = readlink(link, whole, 4095);
    if (size <= 0) return 0;
    snprintf(whole + size, sizeof whole - size, "/%s", path);
    return hit(name, whole);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name)
#define ON_FD(kind, say, result, name, args, pass) result name args { REAL(name); return on_fd(kind, say, fd) ? -1 : real pass; }

ON_FD(WRITE, "write", ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(WRITE, "write", ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(WRITE, "write", ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(WRITE, "write", ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
ON_FD(WRITE, "write", ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
ON_FD(WRITE, "write", ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
ON_FD(WRITE, "write", ssize_t, pwritev2, (int fd, const struct iovec *parts, int count, off_t at, int flags), (fd, parts, count, at, flags))
ON_FD(WRITE, "write", ssize_t, pwritev64v2, (int fd, const struct iovec *parts, int count, off64_t at, int flags), (fd, parts, count, at, flags))
ON_FD(READ, "read", ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
ON_FD(READ, "read", ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(READ, "read", ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(STAT, "stat", int, fstat, (int fd, struct stat *found), (fd, found))
ON_FD(STAT, "stat", int, fstat64, (int fd, struct stat64 *found), (fd, found))
ON_FD(FSYNC, "fsync", int, fsync, (int fd), (fd))
ON_FD(FSYNC, "fsync", int, fdatasync, (int fd), (fd))
ON_FD(TRUNCATE, "ftruncate", int, ftruncate, (int fd, off_t size), (fd, size))
ON_FD(TRUNCATE, "ftruncate", int, ftruncate64, (int fd, off64_t size), (fd, size))
ON_FD(TRUNCATE, "fallocate", int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))

int rename(const char *old, const char *new) {
    REAL(rename);
    return on_path(RENAME, "rename", AT_FDCWD, old) ? -1 : real(old, new);
}
int renameat(int from, const char *old, int to, const char *new) {
    REAL(renameat);
    return on_path(RENAME, "rename", from, old) ? -1 : real(from, old, to, new);
}
int unlink(const char *path) {
    REAL(unlink);
    return on_path(UNLINK, "unlink", AT_FDCWD, path) ? -1 : real(path);
}
int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    return on_path(UNLINK, "unlink", dir, path) ? -1 : real(dir, path, flags);
}

int stat(const char *path, struct stat *found) {
    REAL(stat);
    return on_path(STAT, "stat", AT_FDCWD, path) ? -1 : real(path, found);
}
int stat64(const char *path, struct stat64 *found) {
    REAL(stat64);
    return on_path(STAT, "stat", AT_FDCWD, path) ? -1 : real(path, found);
}

#define OPEN(name, DIR, pre, arg) int name(pre const char *path, int flags, ...) { \
    REAL(name); va_list more; va_start(more, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0; va_end(more); \
    if ((flags & O_CREAT) && on_path(CREATE, "create", DIR, path)) return -1; \
    return real(arg path, flags, mode); }
#define NOTHING
#define DIRECTORY int dir,
#define PASSED dir,
OPEN(open, AT_FDCWD, NOTHING, NOTHING)
OPEN(open64, AT_FDCWD, NOTHING, NOTHING)
OPEN(openat, dir, DIRECTORY, PASSED)
OPEN(openat64, dir, DIRECTORY, PASSED)
