/* kernel_calls LIBRARY ISA FEW MANY FUNCTION...: calls each fastsig_OP_TYPE on FEW and on MANY elements, between SIGUSR1s to itself.
 *
 * The difference of the two counts is the kernel's own: what the call, the signals and the last, padded line take is in both. */
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1024 };

static _Alignas(64) double x[ROOM], out[ROOM];

static void mark(void) { kill(getpid(), SIGUSR1); }

/* logits from -2 to 2, and for probabilities what lies between 0 and 1 */
static void fill(const char *type, int unit) {
    for (int i = 0; i < ROOM; i++) {
        const double value = unit ? (i + 0.5) / ROOM : (i - ROOM / 2) * 4.0 / ROOM;
        const float narrow = (float)value;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        if (strcmp(type, "f64") == 0) x[i] = value;
        if (strcmp(type, "f32") == 0) memcpy((float *)x + i, &narrow, sizeof narrow);
        if (strcmp(type, "bf16") == 0) ((uint16_t *)x)[i] = (uint16_t)(bits >> 16);
        if (strcmp(type, "f16") == 0) ((uint16_t *)x)[i] = unit ? (uint16_t)(0x3000 + i) : (uint16_t)(0x3800 + i);
    }
}

int main(int argc, char **argv) {
    void *library = argc > 5 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library) return fputs("usage: kernel_calls LIBRARY ISA FEW MANY FUNCTION...\n", stderr), 2;
    int (*set_isa)(const char *) = (int (*)(const char *))dlsym(library, "fastsig_set_isa");
    if (!set_isa || set_isa(argv[2])) return fprintf(stderr, "no instruction set %s\n", argv[2]), 2;
    const size_t few = strtoul(argv[3], NULL, 10), many = strtoul(argv[4], NULL, 10);
    if (few > many || many > ROOM) return fprintf(stderr, "at most %d elements\n", ROOM), 2;
    for (int i = 5; i < argc; i++) {
        void *function = dlsym(library, argv[i]);
        if (!function) return fprintf(stderr, "no function %s\n", argv[i]), 2;
        const int binary = strstr(argv[i], "bce") != NULL;
        fill(strrchr(argv[i], '_') + 1, binary || strstr(argv[i], "logit_") != NULL);
        const size_t counts[] = {many, few, many}; /* the first is not counted: it binds libm's functions */
        for (int j = 0; j < 3; j++) {
            if (j) mark();
            if (binary)
                ((void (*)(const void *, const void *, void *, size_t))function)(x, x, out, counts[j]);
            else
                ((void (*)(const void *, void *, size_t))function)(x, out, counts[j]);
            if (j) mark();
        }
    }
    return 0;
}
