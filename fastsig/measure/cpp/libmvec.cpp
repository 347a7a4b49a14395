/* The vector functions of glibc's libmvec by the names that its ABI gives them: compilers call them under -ffast-math only, which would
 * change the rest of the loop too. */
#include <features.h>

#define UNDECLARED
#define FLOAT(name, letter, lanes) _ZGV##letter##N##lanes##v_##name##f
#define DOUBLE(name, letter, lanes) _ZGV##letter##N##lanes##v_##name

#include "x86_vectors.h"
