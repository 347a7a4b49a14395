/* What each PTX instruction does, on registers that are unsigned integers; after the PTX ISA manual, chapter "Instruction Set". */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef _Float16 f16;
typedef float f32;
typedef double f64;

#define VIEW(T, U)                                                                                          \
    static inline T as_##T(U bits) { T v; memcpy(&v, &bits, sizeof v); return v; }                          \
    static inline U of_##T(T v) { U bits; memcpy(&bits, &v, sizeof v); return bits; }
VIEW(f16, u16) VIEW(f32, u32) VIEW(f64, u64) VIEW(s16, u16) VIEW(s32, u32) VIEW(s64, u64)
#define PLAIN(U) static inline U as_##U(U v) { return v; } static inline U of_##U(U v) { return v; }
PLAIN(u8) PLAIN(u16) PLAIN(u32) PLAIN(u64)

static void wrong(const char *what) { fprintf(stderr, "ptx_in_c: %s\n", what); abort(); }
#define ALIGNED(address, bytes) if ((address) % (bytes)) wrong("a misaligned " #bytes "-byte access")
#define LOAD(U, name, address) { U v; memcpy(&v, (void *)(address), sizeof v); name = v; }
#define STORE(U, name, address) { U v = (U)(name); memcpy((void *)(address), &v, sizeof v); }

/* one type T over registers U: op1, op2, op3 define an instruction of so many sources */
#define OP1(name, T, U, expression) static inline U name##_##T(U x) { T a = as_##T(x); return of_##T((T)(expression)); }
#define OP2(name, T, U, expression) \
    static inline U name##_##T(U x, U y) { T a = as_##T(x), b = as_##T(y); return of_##T((T)(expression)); }
#define OP3(name, T, U, expression) \
    static inline U name##_##T(U x, U y, U z) { T a = as_##T(x), b = as_##T(y), c = as_##T(z); return of_##T((T)(expression)); }
#define COMPARE(name, T, U, expression) \
    static inline u8 setp_##name##_##T(U x, U y) { T a = as_##T(x), b = as_##T(y); return (expression) ? 1 : 0; }

#define REALS(T, U, FMA)                                                                                               \
    OP2(add_rn, T, U, a + b) OP2(sub_rn, T, U, a - b) OP2(mul_rn, T, U, a * b) OP2(div_rn, T, U, a / b)                 \
    OP3(fma_rn, T, U, FMA(a, b, c))                                                                                    \
    OP2(max, T, U, isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? b : a) : a > b ? a : b)                         \
    OP2(min, T, U, isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b)
#define ONE_OVER(T, U) OP1(rcp_rn, T, U, 1 / a)
ONE_OVER(f32, u32) ONE_OVER(f64, u64)
/* by so many ULP the approximation is off: the manual promises 1 at most */
int reciprocal_error = 0;
static inline u32 rcp_approx_ftz_f32(u32 x) {
    const u32 sign = x & 0x80000000u, magnitude = x & 0x7fffffffu;
    const u32 q = of_f32(1 / as_f32(magnitude < 0x00800000u ? 0 : magnitude));
    if (q >= 0x7f800000u || q < 0x00800000u) return sign | (q < 0x00800000u ? 0 : q);
    return sign | (q + (u32)reciprocal_error);
}
REALS(f32, u32, fmaf) REALS(f64, u64, fma)
#define SIGNS(T, U)                                                                                                    \
    static inline U neg_##T(U x) { return x ^ ((U)1 << (8 * sizeof x - 1)); }                                          \
    static inline U abs_##T(U x) { return x & ~((U)1 << (8 * sizeof x - 1)); }                                         \
    COMPARE(eq, T, U, a == b) COMPARE(ne, T, U, a < b || a > b) COMPARE(lt, T, U, a < b) COMPARE(le, T, U, a <= b)      \
    COMPARE(gt, T, U, a > b) COMPARE(ge, T, U, a >= b) COMPARE(nan, T, U, isnan((f64)a) || isnan((f64)b))               \
    COMPARE(num, T, U, !isnan((f64)a) && !isnan((f64)b)) COMPARE(neu, T, U, a != b) COMPARE(equ, T, U, !(a < b || a > b)) \
    COMPARE(ltu, T, U, !(a >= b)) COMPARE(leu, T, U, !(a > b)) COMPARE(gtu, T, U, !(a <= b)) COMPARE(geu, T, U, !(a < b))
SIGNS(f16, u16) SIGNS(f32, u32) SIGNS(f64, u64)

#define ORDER(T, U)                                                                                                    \
    COMPARE(eq, T, U, a == b) COMPARE(ne, T, U, a != b) COMPARE(lt, T, U, a < b) COMPARE(le, T, U, a <= b)              \
    COMPARE(gt, T, U, a > b) COMPARE(ge, T, U, a >= b) OP2(min, T, U, a < b ? a : b) OP2(max, T, U, a > b ? a : b)      \
    OP2(add, T, U, a + b) OP2(sub, T, U, a - b) OP2(mul_lo, T, U, a * b) OP3(mad_lo, T, U, a * b + c)                   \
    OP2(div, T, U, a / b) OP2(rem, T, U, a % b)                                                                         \
    static inline U shr_##T(U x, u32 n) { T a = as_##T(x); const u32 top = 8 * sizeof x - 1; return of_##T((T)(n > top ? (top ? (a >> top) >> 1 : 0) : a >> n)); }
ORDER(s16, u16) ORDER(u16, u16) ORDER(s32, u32) ORDER(u32, u32) ORDER(s64, u64) ORDER(u64, u64)
OP1(neg, s16, u16, -a) OP1(neg, s32, u32, -a) OP1(neg, s64, u64, -a)

#define BITS(U, n)                                                                                                     \
    static inline U and_b##n(U a, U b) { return a & b; }                                                                \
    static inline U or_b##n(U a, U b) { return a | b; }                                                                 \
    static inline U xor_b##n(U a, U b) { return a ^ b; }                                                                \
    static inline U not_b##n(U a) { return ~a; }                                                                        \
    static inline U shl_b##n(U a, u32 by) { return by >= n ? 0 : (U)(a << by); }                                        \
    static inline U mov_b##n(U a) { return a; }                                                                         \
    static inline U mov_u##n(U a) { return a; }                                                                         \
    static inline U cvta_to_global_u##n(U a) { return a; }                                                              \
    static inline U selp_b##n(U a, U b, u8 p) { return p ? a : b; }                                                     \
    static inline u8 setp_eq_b##n(U a, U b) { return a == b; }                                                          \
    static inline u8 setp_ne_b##n(U a, U b) { return a != b; }
BITS(u16, 16) BITS(u32, 32) BITS(u64, 64)
#define selp_u16 selp_b16
#define selp_s16 selp_b16
#define selp_u32 selp_b32
#define selp_s32 selp_b32
#define selp_f32 selp_b32
#define selp_u64 selp_b64
#define selp_s64 selp_b64
#define selp_f64 selp_b64
#define mov_f32 mov_b32
#define mov_f64 mov_b64
#define mov_pred(a) ((a) & 1)
#define and_pred(a, b) ((a) & (b))
#define or_pred(a, b) ((a) | (b))
#define xor_pred(a, b) ((a) ^ (b))
#define not_pred(a) (!(a))
static inline u64 mul_wide_u32(u32 a, u32 b) { return (u64)a * b; }
static inline u64 mul_wide_s32(u32 a, u32 b) { return (u64)((s64)(s32)a * (s32)b); }
static inline u64 mad_wide_u32(u32 a, u32 b, u64 c) { return (u64)a * b + c; }
static inline u64 mul_hi_u64(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 64); }
static inline u32 clz_b64(u64 a) { return a ? (u32)__builtin_clzll(a) : 64; }
static inline u32 clz_b32(u32 a) { return a ? (u32)__builtin_clz(a) : 32; }
static inline u32 prmt_b32(u32 a, u32 b, u32 selector) {
    const u64 bytes = (u64)b << 32 | a;
    u32 r = 0;
    for (int i = 0; i < 4; i++) {
        const u32 s = selector >> (4 * i);
        if (s & 8) wrong("prmt with a sign to spread");
        r |= (u32)(bytes >> (8 * (s & 7)) & 0xff) << (8 * i);
    }
    return r;
}
#define FIELDS(U, n)                                                                                                   \
    static inline U bfi_b##n(U a, U b, u32 at, u32 count) {                                                             \
        if (count == 0 || at >= n) return b;                                                                            \
        const U mask = (count >= n ? ~(U)0 : (((U)1 << count) - 1)) << at;                                              \
        return (a << at & mask) | (b & ~mask);                                                                          \
    }                                                                                                                  \
    static inline U bfe_u##n(U a, u32 at, u32 count) {                                                                  \
        return at >= n || count == 0 ? 0 : a >> at & (count >= n ? ~(U)0 : ((U)1 << count) - 1);                        \
    }
FIELDS(u32, 32) FIELDS(u64, 64)
static inline u32 pack32(u16 low, u16 high) { return (u32)high << 16 | low; }
static inline u64 pack64(u32 low, u32 high) { return (u64)high << 32 | low; }

/* conversions: to T from S */
#define CVT(name, T, S, US) static inline __typeof__(of_##T((T)0)) name##_##T##_##S(US x) { S a = as_##S(x); return of_##T((T)a); }
CVT(cvt, f32, f16, u16) CVT(cvt, f64, f16, u16) CVT(cvt, f64, f32, u32) CVT(cvt_rn, f16, f32, u32) CVT(cvt_rn, f16, f64, u64)
CVT(cvt_rn, f32, f64, u64) CVT(cvt_rn, f32, s32, u32) CVT(cvt_rn, f32, u32, u32) CVT(cvt_rn, f32, s64, u64) CVT(cvt_rn, f32, u64, u64)
CVT(cvt_rn, f32, u16, u16) CVT(cvt_rn, f32, s16, u16) CVT(cvt_rn, f64, s32, u32) CVT(cvt_rn, f64, u32, u32) CVT(cvt_rn, f64, u16, u16)
CVT(cvt_rn, f64, s16, u16) CVT(cvt_rn, f64, s64, u64) CVT(cvt_rn, f64, u64, u64) CVT(cvt_rn, f16, u16, u16) CVT(cvt_rn, f16, s16, u16)
CVT(cvt, u16, u32, u32) CVT(cvt, u16, u64, u64) CVT(cvt, u32, u16, u16) CVT(cvt, u32, u64, u64) CVT(cvt, u64, u32, u32) CVT(cvt, u64, u16, u16)
CVT(cvt, s32, s16, u16) CVT(cvt, s64, s32, u32) CVT(cvt, s64, s16, u16) CVT(cvt, s32, u16, u16)
static inline u16 cvt_s16_s8(u16 x) { return (u16)(int8_t)x; }
static inline u32 cvt_s32_s8(u32 x) { return (u32)(int8_t)x; }
static inline u64 cvt_s64_s8(u64 x) { return (u64)(int8_t)x; }
static inline u32 cvt_rn_f32_s8(u32 x) { return of_f32((f32)(int8_t)x); }
static inline u64 cvt_rn_f64_s8(u64 x) { return of_f64((f64)(int8_t)x); }
static inline u32 cvt_rn_f32_u8(u32 x) { return of_f32((f32)(u8)x); }
static inline u64 cvt_rn_f64_u8(u64 x) { return of_f64((f64)(u8)x); }
static inline u32 cvt_rn_f16x2_f32(u32 a, u32 b) { return pack32(cvt_rn_f16_f32(b), cvt_rn_f16_f32(a)); }
static inline u16 cvt_rn_bf16_f32(u32 x) {
    if (isnan(as_f32(x))) return 0x7fff;
    return (u16)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}
static inline u32 cvt_rn_bf16x2_f32(u32 a, u32 b) { return pack32(cvt_rn_bf16_f32(b), cvt_rn_bf16_f32(a)); }
/* mixed precision, since sm_100: the half is widened, the rest is as in f32 */
static inline u32 sub_rn_f32_f16(u16 a, u32 b) { return sub_rn_f32(cvt_f32_f16(a), b); }
static inline u32 add_rn_f32_f16(u16 a, u32 b) { return add_rn_f32(cvt_f32_f16(a), b); }
static inline u32 fma_rn_f32_f16(u16 a, u16 b, u32 c) { return fma_rn_f32(cvt_f32_f16(a), cvt_f32_f16(b), c); }

/* threads run one after another, so nothing has to be atomic */
static inline u64 red_global_add_u64(u64 at, u64 v) { u64 old; memcpy(&old, (void *)at, 8); v += old; memcpy((void *)at, &v, 8); return old; }
static inline u32 red_global_or_b32(u64 at, u32 v) { u32 old; memcpy(&old, (void *)at, 4); v |= old; memcpy((void *)at, &v, 4); return old; }

/* the 32 threads of a warp are coroutines: each runs up to a shuffle, and when all have arrived each goes on with the other's value */
static struct { ucontext_t lane[32], main; u32 slot[32]; int done[32], now; } warp;
static inline void take_turns(void) { swapcontext(&warp.lane[warp.now], &warp.main); }
static inline u32 exchange(u32 v, int other) {
    const int me = warp.now;
    warp.slot[me] = v;
    take_turns();
    const u32 got = warp.slot[other];
    take_turns();
    return got;
}
static inline u32 shfl_sync_down_b32(u32 v, u32 by, u32 c) { return exchange(v, warp.now + (int)by > 31 ? warp.now : warp.now + (int)by); }
static inline u32 shfl_sync_bfly_b32(u32 v, u32 by, u32 c) { return exchange(v, warp.now ^ (int)by); }
static inline u32 shfl_sync_idx_b32(u32 v, u32 at, u32 c) { return exchange(v, (int)at & 31); }

static struct { u64 arg[64]; u32 tid, block, threads, blocks; } now;
static char stacks[32][1 << 16] __attribute__((aligned(64)));
static void run_warp(void (*lane)(void)) {
    for (int i = 0; i < 32; i++) {
        getcontext(&warp.lane[i]);
        warp.lane[i].uc_stack.ss_sp = stacks[i];
        warp.lane[i].uc_stack.ss_size = sizeof stacks[i];
        warp.lane[i].uc_link = &warp.main;
        warp.done[i] = 0;
        makecontext(&warp.lane[i], lane, 0);
    }
    for (int left = 32; left;) {
        left = 0;
        for (warp.now = 0; warp.now < 32; warp.now++)
            if (!warp.done[warp.now]) {
                swapcontext(&warp.main, &warp.lane[warp.now]);
                left += !warp.done[warp.now];
            }
        if (left && left < 32) wrong("lanes of a warp that part before a shuffle");
    }
}
