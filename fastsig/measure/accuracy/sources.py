"""What a measured number was measured of: the text and the constants that an operation reaches, and what compiled them.

A measure of all 2^32 inputs holds for as long as both stay as they are. Comments, docstrings, types and imports do not count.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import runpy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import fastsig
from fastsig.measure.accuracy import losses
from fastsig.measure.accuracy.engines import Engine

PACKAGE = Path(fastsig.__file__).parent
SHORT = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"}


@dataclass(frozen=True)
class Definition:
    """Of a function, macro, structure or table: its text, the definitions that it may name, and the constants that it takes."""

    text: str
    names: frozenset[str]
    constants: frozenset[str]


Definitions = dict[str, Definition]

NUMBA_PRIMITIVES = "kernels/numba/primitives.py"
NUMBA_LOOPS = ("kernels/numba/elementwise.py", "kernels/numba/environment.py", "kernels/numba/memory.py")
C_LOOPS = ("kernels.c", "environment.h", "memory.h")

GATES = "gates.h"
"""No operation reaches what is in it."""
ROUNDED = "rounded"
"""The correctly rounded functions, with the names of the ordinary ones: ``rounded_hash`` is theirs."""


def digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _texts(definitions: Definitions) -> dict[str, str]:
    return {name: one.text for name, one in definitions.items()}


def reached(names: Iterable[str], definitions: Definitions) -> Definitions:
    """These definitions, and those that they name, and so on."""
    found: Definitions = {}
    left = [name for name in names if name in definitions]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = definitions[name]
            left += definitions[name].names & definitions.keys()
    return dict(sorted(found.items()))


# ---- Python ----

_UNSEEN = {"ctx", "annotation", "returns", "type_comment", "type_params", "type_ignores", "kind"}


def _structure(node: Any) -> str:
    """A syntax tree as text that no version of Python writes otherwise."""
    if isinstance(node, list):
        return " ".join(_structure(part) for part in node if not isinstance(part, (ast.Import, ast.ImportFrom)) and not _is_remark(part))
    if not isinstance(node, ast.AST):
        return str(node) if isinstance(node, str) else repr(node)
    if isinstance(node, ast.Constant):
        return repr(node.value)
    fields = (_structure(value) for name, value in ast.iter_fields(node) if name not in _UNSEEN and value not in (None, []))
    return f"({type(node).__name__} {' '.join(fields)})"


def _is_remark(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _python_definition(node: ast.stmt) -> Definition:
    """Names that the function itself gives values to are its own; an attribute may be one of the constants."""
    parts = list(ast.walk(node))
    local = {part.arg for part in parts if isinstance(part, ast.arg)}
    local |= {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    used = {part.id for part in parts if isinstance(part, ast.Name)}
    constants = frozenset(part.attr for part in parts if isinstance(part, ast.Attribute))
    return Definition(_structure(node), frozenset(used - local if isinstance(node, ast.FunctionDef) else used), constants)


def python_definitions(files: Iterable[Path]) -> Definitions:
    found: Definitions = {}
    for file in files:
        for node in ast.parse(file.read_text()).body:
            for name in _names(node):
                if name in found:
                    raise ValueError(f"{file}: {name} is defined twice, so a hash could follow the wrong one")
                found[name] = _python_definition(node)
    return found


# ---- C ----

_C_DEFINITION = re.compile(
    r"^FORMULA [^;{]*?(?:FN\((?P<formula>\w+)\)|(?P<plain>\w+))\([^)]*\) \{\n.*?^\}$"
    r"|^#define (?P<macro>\w+)\((?:[^\n]*\\\n)*[^\n]*$"
    r"|^typedef struct \{[^}]*\} FN\((?P<type>\w+)\);$",
    re.MULTILINE | re.DOTALL,
)


def c_text(text: str) -> str:
    """Without comments, and with one kind of space."""
    bare = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    return " ".join(bare.split())


def c_definitions(files: Iterable[Path]) -> tuple[Definitions, str]:
    """The functions, macros and structures; and what is around them, which counts for all."""
    found: Definitions = {}
    rest = []
    for file in files:
        text = file.read_text()
        for match in _C_DEFINITION.finditer(text):
            name = next(filter(None, match.groupdict().values()))
            if name in found:
                raise ValueError(f"{file}: {name} is defined twice, so a hash could follow the wrong one")
            body = c_text(match[0])
            found[name] = Definition(body, frozenset(re.findall(r"\w+", body)), frozenset(re.findall(r"\bK\((\w+)\)", body)))
        rest.append(c_text(_C_DEFINITION.sub("", text)))
    return found, " ".join(rest)


# ---- an operation, and a build ----


class Sources:
    """One state of the text: the package, and the C library's where there is a checkout."""

    def __init__(self, package: Path, library: Path | None) -> None:
        self.package, self.library = package, library
        formulas = sorted(
            set(package.glob("formulas/*.py")) - {package / "formulas" / n for n in ("constants.py", "halves.py", f"{ROUNDED}.py")}
        )
        self.python = python_definitions(formulas)
        self.of_losses = sorted(python_definitions([package / "formulas" / "losses.py"])) + ["bce"]
        reals = sorted(library.glob("formulas/*.h")) if library else []
        self.c, self.c_around = c_definitions(p for p in reals if p.name not in ("f32.h", "f64.h", GATES, f"{ROUNDED}.h"))
        self.c_types = {p.stem: c_text(p.read_text()) for p in reals if p.name in ("f32.h", "f64.h")}
        tables = runpy.run_path(str(package / "formulas" / "constants.py"))
        self.constants = {"f32": tables["F32"]._asdict(), "f64": tables["F64"]._asdict()}
        self.halves = runpy.run_path(str(package / "formulas" / "halves.py"))

    def all_formulas_hash(self) -> str:
        return digest(_texts(self.python), _texts(self.c), self.c_around, self.c_types, repr(self.constants))

    def formula_hash(self, op: str, dtype: str) -> str:
        """Over all that decides the exact sequence of roundings of one operation in one type; of any loss, of all of them."""
        if op not in self.python and op not in losses.names():
            raise ValueError(f"{op} has no formula")
        roots = [op] if op in self.python else self.of_losses
        short = SHORT[dtype]
        real = "f64" if short == "f64" else "f32"
        half = [f"widen_{short}", f"narrow_{short}"] if dtype.endswith("16") else []
        parts = reached(roots, self.python), reached([*roots, *half], self.c)
        taken = frozenset[str]().union(*(one.constants for part in parts for one in part.values()))
        constants = {name: repr(value) for name, value in self.constants[real].items() if name in taken}
        patches = [self.halves[table].get(op, {}).get(short) for table in ("PATCHES", "JUST_ABOVE_HALF")]
        return digest(*map(_texts, parts), self.c_around, self.c_types.get(real), constants, repr(patches))

    def rounded_hash(self) -> str:
        """Over all that decides the results of ``fastsig.correctly_rounded``, in Python and, where it is there, in C."""
        files = [self.package / "formulas" / name for name in (f"{ROUNDED}.py", "prims.py", "constants.py")]
        python = [_structure(ast.parse(file.read_text())) for file in files[:2]]
        table = runpy.run_path(str(files[2]))["ROUNDED"]
        names = ("formulas/rounded.h", "formulas/prims.h", "rounded.c") if self.library else ()
        return digest(python, repr(table), [c_text((self.library / name).read_text()) for name in names if self.library])

    def loops_hash(self, backend: str) -> str:
        """Over what all operations of a backend share: its array loops, and how it makes constants and primitives."""
        if backend == "c":
            if not self.library:
                raise FileNotFoundError("the C library's sources are in the checkout of fastsig: no cext/ here")
            tables = python_definitions([self.library / "python" / "build.py"])
            texts = [c_text((self.library / name).read_text()) for name in C_LOOPS]
            return digest(texts, _texts(reached(["constants_header", "halves_header"], tables)))
        primitives = _structure(ast.parse((self.package / NUMBA_PRIMITIVES).read_text()))
        loops = python_definitions(self.package / name for name in NUMBA_LOOPS)
        return digest(primitives, _texts(reached(["_loop"], loops)))

    def c_files_hash(self) -> str:
        """As CMake writes it: over the files that hold the kernels' arithmetic, to the byte."""
        assert self.library, "loops_hash has found it"
        tables = [self.package / "formulas" / name for name in ("constants.py", "halves.py")]
        files = [*sorted(self.library.glob("formulas/*.h")), *(self.library / name for name in (*C_LOOPS, "rounded.c")), *tables]
        return hashlib.sha256("".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files).encode()).hexdigest()

    def made_by(self, engine: Engine) -> str:
        """What compiled this engine's kernels, and of which loops."""
        if engine.backend == "c":
            loops, build = self.loops_hash("c"), c_build()
            if build["sources"] != self.c_files_hash():
                raise ValueError("the C library was built from other sources than these; install it again: pip install .")
            return f"{build['compiler']}, {build['machine']}, {build[engine.isa]}; loops {loops}"
        compilers = ", ".join(f"{name} {metadata.version(name)}" for name in ("numba", "llvmlite"))
        return f"{compilers}; loops {self.loops_hash(engine.backend)}"


def c_build() -> dict[str, str]:
    """What CMake wrote beside the library: the compiler, the machine, the flags for each instruction set, a hash of what was compiled."""
    from fastsig.kernels.c import library as c

    written = c.library_path().parent / "build.txt"
    return dict(line.split(": ", 1) for line in written.read_text().splitlines())


@cache
def here() -> Sources:
    """The text of this package, with the C library's beside it or in the checkout that is the current directory."""
    libraries: Iterator[Path] = (place / "cext" for place in (PACKAGE.parent, Path.cwd()))
    return Sources(PACKAGE, next((library for library in libraries if (library / "formulas").is_dir()), None))
