/* One job at a time, shared among threads of our own. */
#ifndef FASTSIG_POOL_H
#define FASTSIG_POOL_H
#include <stdbool.h>
#include <stddef.h>

enum { POOL_MOST = 256 };
enum { AFFINITY_NEVER, AFFINITY_ALWAYS, AFFINITY_UNLESS_FILTERED };

/* elements start to stop; seat: which of the job's threads this is, from 0 */
typedef void (*fastsig_work)(void *context, int seat, size_t start, size_t stop);

/* Calls work for all of [0, size) in pieces of `grain` elements, on at most so many threads, of which the caller is one. Alone it takes
 * pieces of whole `least`. So a piece begins where some `least` and some `grain` end.
 *
 * It never waits for a thread that has not come: what nobody else has begun the caller does. Threads that sleep are woken where a
 * first piece of `least` elements shows that the rest takes long, or where calls come in a loop. Where another job has the pool, the
 * caller does it all: threads that call at once do not multiply.
 *
 * Whether it was stopped before the end: no thread is at work then any more. */
bool fastsig_pool_run(fastsig_work work, void *context, size_t size, size_t least, size_t grain, int threads);

/* What a caller asks between two pieces whether to stop, every now and then in a call that takes long; NULL: nothing. */
void fastsig_pool_ask(bool (*whether_to_stop)(void));

/* When a thread that goes to sleep moves to a CPU where its caller is not. To be called before the first job. */
void fastsig_set_affinity(int when);
#endif
