/* Of which version this extension is, and which file the loader gave it as the library. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include <dlfcn.h>

#include "fastsig.h"
#include "fastsig_version.h"

const char *fastsig_extension_version(void) { return FASTSIG_VERSION; }

/* "" where the system cannot tell */
const char *fastsig_library_file(void) {
    Dl_info found;
    return dladdr((void *)fastsig_version, &found) && found.dli_fname ? found.dli_fname : "";
}
