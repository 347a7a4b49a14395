/* The formulas for float. */
#define SFX f32
#define R float
#define I int32_t
#define U uint32_t
#include "prims.h"
#include "core.h"
#include "logistic.h"
#include "bce.h"
#include "losses.h"
#undef SFX
#undef R
#undef I
#undef U
