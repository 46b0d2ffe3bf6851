#define _GNU_SOURCE
#include "include/AllocationCount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

struct counts {
  _Atomic uint64_t allocations;
  _Atomic uint64_t frees;
  // Those of threads whose name begins with `worker-`; counted where others read it.
  _Atomic uint64_t allocations_of_workers;
};

static struct counts own;
// Where counts go: here, or in a file that others read.
static struct counts *_Atomic counts = &own;

uint64_t allocation_count(void) { return atomic_load_explicit(&atomic_load(&counts)->allocations, memory_order_relaxed); }
uint64_t allocation_frees(void) { return atomic_load_explicit(&atomic_load(&counts)->frees, memory_order_relaxed); }

void allocation_black_hole(uint64_t value) { __asm__ volatile("" : : "r"(value) : "memory"); }

#ifdef SANITIZED

bool allocation_is_counted(void) { return false; }

#else

bool allocation_is_counted(void) { return true; }

// glibc's own names for the same functions. Asking the dynamic linker for them instead would allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void note_allocation(void) {
  struct counts *now = atomic_load_explicit(&counts, memory_order_acquire);
  atomic_fetch_add_explicit(&now->allocations, 1, memory_order_relaxed);
  if (now == &own) return;
  char name[16];
  prctl(PR_GET_NAME, name);
  if (strncmp(name, "worker-", 7) == 0) atomic_fetch_add_explicit(&now->allocations_of_workers, 1, memory_order_relaxed);
}

static void note_free(void) {
  struct counts *now = atomic_load_explicit(&counts, memory_order_acquire);
  atomic_fetch_add_explicit(&now->frees, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
  note_allocation();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note_allocation();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  note_allocation();
  if (memory != NULL) note_free();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  note_allocation();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note_allocation();
  return __libc_memalign(alignment, size);
}

void *valloc(size_t size) {
  note_allocation();
  return __libc_memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  note_allocation();
  // It promises to leave errno alone.
  int before = errno;
  void *result = __libc_memalign(alignment, size);
  errno = before;
  if (result == NULL) return ENOMEM;
  *memory = result;
  return 0;
}

void free(void *memory) {
  if (memory != NULL) note_free();
  __libc_free(memory);
}

__attribute__((constructor)) static void share_counts(void) {
  const char *path = getenv("ALLOCATION_COUNT_FILE");
  if (path == NULL) return;
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return;
  if (ftruncate(file, sizeof(struct counts)) == 0) {
    struct counts *shared = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) {
      atomic_store(&shared->allocations, atomic_load(&own.allocations));
      atomic_store(&shared->frees, atomic_load(&own.frees));
      atomic_store_explicit(&counts, shared, memory_order_release);
    }
  }
  close(file);
}

#endif
