"""The C ABI: compile a C program against ``fastsig.h`` and the shared library, and run it. Needs a C compiler (``CC``, or cc)."""

import os
import subprocess
import tempfile
from pathlib import Path

import fastsig as fs

SOURCE = r"""
#include <fastsig.h>
#include <stdio.h>

int main(void) {
    float x[3] = {-100.0f, 0.0f, 100.0f}, out[3];
    fastsig_sigmoid_f32(x, out, 3);
    printf("fastsig %s (%s): %g %g %g\n", fastsig_version(), fastsig_isa(), out[0], out[1], out[2]);
    return 0;
}
"""

library = Path(fs.get_library())
with tempfile.TemporaryDirectory() as folder:
    source, program = Path(folder, "example.c"), Path(folder, "example")
    source.write_text(SOURCE)
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, str(source), f"-I{fs.get_include()}", str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True
    )
    subprocess.run([str(program)], check=True)
