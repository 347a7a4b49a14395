/* The formulas for double. */
#define SFX f64
#define R double
#define I int64_t
#define U uint64_t
#include "prims.h"
#include "core.h"
#include "logistic.h"
#include "bce.h"
#include "losses.h"
#undef SFX
#undef R
#undef I
#undef U
