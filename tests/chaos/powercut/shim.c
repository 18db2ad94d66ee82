/* Loaded into Valkey with LD_PRELOAD: records what a power cut would leave of its files.

   The journal gets a line for each call that makes something durable, or that changes a folder:
     S <inode> <size>      the file was synced up to this size
     D <journal size>      the folder was synced: all changes of it before this place of the journal are durable
     C <inode> <path>      the file was created
     R <inode> <from> <to> it was renamed
     U <inode> <path>      it was removed
     T <inode> <size>      it was cut to this size
     O <inode> <offset>    synced bytes were written again, which tests/chaos/powercut does not model
   A sync is recorded after it took its time, with what was there when it began, and nothing is really synced.
   Files that lose their last name are linked in the folder of graves, since a cut may undo that.

   POWERCUT_FOLDER   the folder that is watched; its path is in every path that the server uses
   POWERCUT_JOURNAL  the journal
   POWERCUT_GRAVES   the folder of graves
   POWERCUT_CALLS    after so many of these calls the process group kills itself; 0 for never
   POWERCUT_SYNC_US  the longest time of a sync, µs */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
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

static char folder[PATH_MAX];
static const char *graves;
static int journal = -1;
static long sync_us;

/* Shared with the process that rewrites the file. */
static struct shared { atomic_long calls_left; atomic_ulong random; } *shared;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static unsigned long chance(unsigned long below) {
    unsigned long x = atomic_fetch_add(&shared->random, 0x9E3779B97F4A7C15UL);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
    return below ? (x ^ (x >> 31)) % below : 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWERCUT_JOURNAL");
    if (!path || !realpath(getenv("POWERCUT_FOLDER"), folder)) return;
    graves = strdup(getenv("POWERCUT_GRAVES")); /* the server writes its title over its environment */
    sync_us = atol(getenv("POWERCUT_SYNC_US"));
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
    atomic_store(&shared->calls_left, atol(getenv("POWERCUT_CALLS")));
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&shared->random, (unsigned long)now.tv_nsec ^ ((unsigned long)getpid() << 32));
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) abort();
}

static void note(const char *format, ...) {
    char line[3 * PATH_MAX];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (syscall(SYS_write, journal, line, size) != size) abort();
}

/* Whether this call is the last one. */
static int is_last(void) { return atomic_load(&shared->calls_left) > 0 && atomic_fetch_sub(&shared->calls_left, 1) == 1; }

static void cut(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

static int is_ours(int fd, struct stat *found) {
    if (journal < 0 || fd == journal || fstat(fd, found) != 0) return 0;
    if (S_ISDIR(found->st_mode)) return 1;
    if (!S_ISREG(found->st_mode)) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

/* The path as it is seen from the watched folder; empty for one outside of it. */
static int within(const char *path, char *found) {
    char parent[PATH_MAX], real_parent[PATH_MAX];
    if (journal < 0) return 0;
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    const char *name = slash ? path + (slash - parent) + 1 : path;
    if (slash) *slash = 0;
    if (!realpath(slash ? parent : ".", real_parent)) return 0;
    size_t size = strlen(folder);
    if (strncmp(real_parent, folder, size) != 0) return 0;
    snprintf(found, PATH_MAX, "%s%s%s", real_parent + size + (real_parent[size] == '/'), real_parent[size] ? "/" : "", name);
    return 1;
}

static void bury(const char *path, unsigned long inode) {
    char grave[PATH_MAX];
    snprintf(grave, sizeof grave, "%s/%lu", graves, inode);
    if (link(path, grave) != 0 && access(grave, F_OK) != 0) abort();
}

static int sync_file(int fd) {
    struct stat found;
    if (!is_ours(fd, &found)) return 0;
    off_t recorded = lseek(journal, 0, SEEK_END);
    int last = is_last();
    usleep(chance(sync_us + 1));
    if (last && chance(2)) cut();
    if (S_ISDIR(found.st_mode)) note("D %ld\n", (long)recorded);
    else note("S %lu %ld\n", (unsigned long)found.st_ino, (long)found.st_size);
    if (last) cut();
    return 0;
}

int fsync(int fd) { return sync_file(fd); }
int fdatasync(int fd) { return sync_file(fd); }

ssize_t write(int fd, const void *data, size_t size) {
    struct stat found;
    if (is_ours(fd, &found) && S_ISREG(found.st_mode)) {
        if (!(fcntl(fd, F_GETFL) & O_APPEND) && lseek(fd, 0, SEEK_CUR) < found.st_size)
            note("O %lu %ld\n", (unsigned long)found.st_ino, (long)lseek(fd, 0, SEEK_CUR));
        if (is_last()) {
            syscall(SYS_write, fd, data, chance(size + 1));
            cut();
        }
    }
    return syscall(SYS_write, fd, data, size);
}

int ftruncate64(int fd, off64_t size) {
    struct stat found;
    REAL(ftruncate64);
    if (is_ours(fd, &found)) note("T %lu %ld\n", (unsigned long)found.st_ino, (long)size);
    return real(fd, size);
}

static void created(int fd, const char *path) {
    struct stat found;
    char name[PATH_MAX];
    if (fd < 0 || !within(path, name) || fstat(fd, &found) != 0) return;
    note("C %lu %s\n", (unsigned long)found.st_ino, name);
    if (is_last()) cut();
}

int open64(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (is_new) created(fd, path);
    return fd;
}

FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    int is_new = mode[0] != 'r' && access(path, F_OK) != 0;
    FILE *file = real(path, mode);
    if (file && is_new) created(fileno(file), path);
    return file;
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

int rename(const char *from, const char *to) {
    struct stat old, moved;
    char name[PATH_MAX], other[PATH_MAX];
    REAL(rename);
    if (!within(from, name) || !within(to, other) || stat(from, &moved) != 0) return real(from, to);
    if (stat(to, &old) == 0) bury(to, old.st_ino);
    int done = real(from, to);
    if (done == 0) note("R %lu %s %s\n", (unsigned long)moved.st_ino, name, other);
    if (is_last()) cut();
    return done;
}

int unlink(const char *path) {
    struct stat old;
    char name[PATH_MAX];
    REAL(unlink);
    if (!within(path, name) || stat(path, &old) != 0 || !S_ISREG(old.st_mode)) return real(path);
    bury(path, old.st_ino);
    note("U %lu %s\n", (unsigned long)old.st_ino, name);
    if (is_last()) cut();
    return real(path);
}
