/* SLEEF's vector functions of at most 1.0 ULP. */
#include <sleef.h>

#define FLOAT(name, letter, lanes) Sleef_##name##f##lanes##_u10
#define DOUBLE(name, letter, lanes) Sleef_##name##d##lanes##_u10

#include "x86_vectors.h"
