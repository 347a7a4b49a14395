/* The floating-point environment. What computes enters the default one first: to nearest, subnormal numbers kept, no exception raised.
 * Then it gives the caller's back, flags included. Others in the process set flush-to-zero, for good, in some threads and not in others:
 * whoever loads a library that was linked with -ffast-math, torch.set_flush_denormal(True), XLA.
 *
 * The memory clobbers keep the loads that arithmetic needs after the entry, and the stores of its results before the end. */
#ifndef FASTSIG_ENVIRONMENT_H
#define FASTSIG_ENVIRONMENT_H
#include <stdint.h>

#if defined(__SSE2__)
enum { MXCSR_FLAGS = 0x3f, MXCSR_DEFAULT = 0x1f80 };
typedef uint32_t environment;
static inline void environment_leave(environment callers) { __asm__ volatile("ldmxcsr %0" : : "m"(callers) : "memory"); }
static inline environment environment_enter(void) {
    environment callers;
    __asm__ volatile("stmxcsr %0" : "=m"(callers) : : "memory");
    if ((callers & ~(environment)MXCSR_FLAGS) != MXCSR_DEFAULT) environment_leave(MXCSR_DEFAULT);
    return callers;
}
#elif defined(__aarch64__)
typedef struct { uint64_t control, status; } environment;
static inline environment environment_enter(void) {
    environment callers;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(callers.control), "=r"(callers.status) : : "memory");
    if (callers.control) __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return callers;
}
static inline void environment_leave(environment callers) {
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(callers.control), "r"(callers.status) : "memory");
}
#else
#include <fenv.h>
typedef fenv_t environment;
static inline environment environment_enter(void) {
    environment callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    return callers;
}
static inline void environment_leave(environment callers) { fesetenv(&callers); }
#endif
#endif
