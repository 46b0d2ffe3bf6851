// Counts the allocations of a process: its own and those of every library in it, the Swift runtime's too.
//
// Linked into a program (MicroBenchmarks), or preloaded into another one:
//
//     cc -shared -fPIC -O2 -o count.so Benchmarks/AllocationCount/AllocationCount.c
//     ALLOCATION_COUNT_FILE=counts LD_PRELOAD=./count.so bgproxy …
//
// The file then holds the counts as they are at any moment: three 64-bit words, allocations, frees, and the allocations
// of bgproxy's workers.
#ifndef BGPROXY_ALLOCATION_COUNT_H
#define BGPROXY_ALLOCATION_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/// Allocations so far, by all threads: malloc, calloc, realloc, and memalign with its kin. One that was resized counts
/// as another.
uint64_t allocation_count(void);
/// Memory given back so far, by all threads.
uint64_t allocation_frees(void);
/// False in a build for a sanitizer, which needs these functions for itself.
bool allocation_is_counted(void);

/// Takes a value that the optimizer must not do away with: it does not see what is done with it here.
void allocation_black_hole(uint64_t value);

#endif
