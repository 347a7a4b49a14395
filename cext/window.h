/* A place in an operand of any shape and strides, from which its elements are walked in C order. */
#ifndef FASTSIG_WINDOW_H
#define FASTSIG_WINDOW_H
#include <stddef.h>
#include <stdint.h>

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

typedef struct {
    const char *from;
    const int64_t *shape, *strides; /* in bytes, which stand behind the shape */
    int64_t last, index[64];
} window;

static inline void window_at(window *w, const int64_t *shape, int64_t ndim, int64_t data, int64_t start) {
    w->from = (const char *)data;
    w->shape = shape, w->strides = shape + ndim;
    w->last = ndim - 1;
    for (int64_t d = w->last; d >= 0; d--) {
        w->index[d] = start % shape[d];
        start /= shape[d];
        w->from += w->index[d] * w->strides[d];
    }
}

/* Of the next `count` elements those that one stride walks over. */
static inline int64_t run_of(const window *w, int64_t count) { return least(count, w->shape[w->last] - w->index[w->last]); }

/* Over a run. */
static inline void advance(window *w, int64_t run) {
    w->from += run * w->strides[w->last];
    w->index[w->last] += run;
    for (int64_t d = w->last; d > 0 && w->index[d] == w->shape[d]; d--) {
        w->from += w->strides[d - 1] - w->index[d] * w->strides[d];
        w->index[d] = 0;
        w->index[d - 1]++;
    }
}

static inline void advance_by(window *w, int64_t count) {
    for (int64_t run; count; count -= run) advance(w, run = run_of(w, count));
}

/* Bytes to the element so many on, where there is one. */
static inline ptrdiff_t bytes_to(const window *w, int64_t count) {
    ptrdiff_t bytes = 0;
    for (int64_t d = w->last, carry = 0; d >= 0; d--) {
        const int64_t there = w->index[d] + count % w->shape[d] + carry;
        carry = there >= w->shape[d];
        bytes += (there - carry * w->shape[d] - w->index[d]) * w->strides[d];
        count /= w->shape[d];
    }
    return bytes;
}
#endif
