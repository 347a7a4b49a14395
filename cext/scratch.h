/* Memory of each thread for the blocks of a pass: on the stack they would take more than small stacks have (musl gives 128 KiB). */
#ifndef FASTSIG_SCRATCH_H
#define FASTSIG_SCRATCH_H
#include <stddef.h>

/* At least so many bytes, aligned to a line of the caches, the same at each call of one thread, freed when it ends; NULL where there is
 * no memory. */
void *fastsig_scratch(size_t size);
#endif
