"""The rules of the house, each failing by name: one row, two formulas, one function an operation; floors; sizes; documentation."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastsig as fs
from fastsig import api
from fastsig.ops import OPS, Op

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastsig"
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted(p for p in (ROOT / "cext").rglob("*") if p.suffix in (".c", ".h", ".py") or p.name == "CMakeLists.txt")
EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_UNARY = pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)
ROOMS = ("core", "logistic", "bce", "losses")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_files_are_found() -> None:
    assert len(PYTHON_FILES) > 10
    assert len(C_FILES) > 8


# ---- an operation is in all its places ----


def python_formulas(room: str) -> dict[str, list[str]]:
    tree = ast.parse((PACKAGE / "formulas" / f"{room}.py").read_text())
    return {node.name: [a.arg for a in node.args.args] for node in tree.body if isinstance(node, ast.FunctionDef)}


def c_formulas(room: str) -> dict[str, list[str]]:
    text = (ROOT / "cext" / "formulas" / f"{room}.h").read_text()
    found = re.findall(r"^(?:FORMULA|static inline) .*?FN\((\w+)\)\(((?:[RI] \w+(?:, )?)+)\) \{", text, re.MULTILINE)
    return {name: re.findall(r"[RI] (\w+)", parameters) for name, parameters in found}


@EACH_OP
def test_has_a_python_formula(op: Op) -> None:
    rooms = [room for room in ROOMS if op.name in python_formulas(room)]
    assert len(rooms) == 1, f"{op.name}: fastsig/formulas/ must define it once; found in {rooms}"
    assert tuple(python_formulas(rooms[0])[op.name]) == op.inputs, f"{op.name}: parameters in fastsig/formulas/{rooms[0]}.py"


@EACH_OP
def test_has_a_c_formula(op: Op) -> None:
    rooms = [room for room in ROOMS if op.name in c_formulas(room)]
    assert len(rooms) == 1, f"{op.name}: cext/formulas/ must define it once; found in {rooms}"
    assert tuple(c_formulas(rooms[0])[op.name]) == op.inputs, f"{op.name}: parameters in cext/formulas/{rooms[0]}.h"


@EACH_UNARY
def test_has_a_function_with_documentation(op: Op) -> None:
    function = getattr(fs, op.name, None)
    assert function is not None, f"{op.name}: fastsig/api.py has no such function"
    assert function is getattr(api, op.name)
    assert op.name in fs.__all__, f"{op.name}: missing in fastsig.__all__"
    doc = inspect.getdoc(function) or ""
    headings = [part.split("\n")[0] for part in doc.split("\n\n") if re.match(r"\w+\n-+\n", part)]
    assert headings[:2] == ["Parameters", "Returns"], f"{op.name}: the sections of its docstring"
    assert "Raises" in headings, f"{op.name}: its docstring does not say what it raises"
    for word in ("Accuracy", "Edges"):
        assert re.search(rf"^{word}(: |\n-+\n)", doc, re.MULTILINE), f"{op.name}: its docstring has no {word}"
    assert re.search(r"``.+``", doc.split("\n\nParameters")[0]), f"{op.name}: its docstring begins with the formula"
    assert "fastsig/formulas/" in doc, f"{op.name}: its docstring does not name its source"
    text = " ".join(doc.split())
    for promised, dtype in ((op.ulp_f32, "float32"), (op.ulp_f64, "float64")):
        assert re.search(rf"{promised} (ULP )?(in|for) [^.;]*{dtype}", text), f"{op.name}: its docstring lacks {promised} ULP in {dtype}"


def test_no_function_without_a_row() -> None:
    public = {node.name for node in ast.parse((PACKAGE / "api.py").read_text()).body if isinstance(node, ast.FunctionDef)}
    assert public == {op.name for op in OPS if op.nin == 1}


@pytest.mark.parametrize("room", ROOMS)
def test_twins_have_the_same_functions(room: str) -> None:
    """Same names in the same order, with the same parameters: one text in two alphabets."""
    assert list(python_formulas(room).items()) == list(c_formulas(room).items())


@pytest.mark.parametrize("room", ROOMS)
def test_twins_have_the_same_locals(room: str) -> None:
    """The same names are assigned in the same order; ``k``, which C's K() replaces, and the parts of a pair apart."""
    tree = ast.parse((PACKAGE / "formulas" / f"{room}.py").read_text())
    text = (ROOT / "cext" / "formulas" / f"{room}.h").read_text()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        single = [t.id for a in ast.walk(node) if isinstance(a, ast.Assign) for t in a.targets if isinstance(t, ast.Name) and t.id != "k"]
        body = re.search(rf"FN\({node.name}\)\([^)]*\) \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
        assert body, f"{node.name}: not in cext/formulas/{room}.h"
        assert re.findall(r"^ {4}(?:[RI] )?(\w+) = ", body[1], re.MULTILINE) == single, f"{node.name}: its locals differ"


@EACH_OP
def test_table_rows_are_complete(op: Op) -> None:
    assert op.inputs[0] == ("p" if op.domain == "unit" else "x")
    assert op.inputs[1:] in ((), ("t",))
    assert op.domain in ("real", "unit")
    assert 0 < op.ulp_f32 <= 3
    assert 0 < op.ulp_f64 <= 3
    assert op.edges
    assert all(len(at) == op.nin for at, _ in op.edges)


# ---- documentation of the public surface ----


@pytest.mark.parametrize("name", [n for n in fs.__all__ if n != "ufuncs"])
def test_everything_public_is_documented(name: str) -> None:
    doc = inspect.getdoc(getattr(fs, name)) or ""
    assert doc.strip(), f"fastsig.{name} has no docstring"


def test_all_is_sorted_and_exists() -> None:
    assert list(fs.__all__) == sorted(fs.__all__)
    assert all(hasattr(fs, name) for name in fs.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+", fs.__version__)
    assert f'version = "{fs.__version__}"' in (ROOT / "pyproject.toml").read_text()


# ---- sizes ----


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES + C_FILES if p.name != "api.py"], ids=name_of)
def test_no_file_is_two_rooms(path: Path) -> None:
    """api.py apart: it is one documented function after another."""
    lines = len(path.read_text().splitlines())
    assert lines <= 300, f"{name_of(path)} has {lines} lines"


# ---- floors: an import goes down, never up, never sideways between backends ----

FLOOR = {
    **dict.fromkeys(("ops", "formulas", "arrays", "whole_files"), 0),
    **dict.fromkeys(("refusals", "plans", "thresholds", "device_arrays"), 1),
    **dict.fromkeys(("backends", "exact"), 2),
    "gpu": 2.5,
    "dispatch": 3,
    "passes": 4,
    "reductions": 5,
    **dict.fromkeys(("ufuncs", "api", "losses", "focal", "accumulate", "gates", "introspection"), 6),
}
ATTIC = 7
"""Everything else: what stands on the public functions."""


def imports_of(path: Path, everywhere: bool = True) -> Iterator[str]:
    """Absolute names of the modules imported; with everywhere, also inside functions."""
    package = ("fastsig", *path.relative_to(PACKAGE).parent.parts)
    tree = ast.parse(path.read_text())
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    typing_only = {id(inner) for guard in guards for inner in ast.walk(guard)}
    deferred = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in typing_only or (not everywhere and id(node) in deferred):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    """The room of a fastsig module: its name below the package, or "" for the public names themselves."""
    parts = module.split(".")
    room = parts[1] if len(parts) > 1 else ""
    return room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file() else ""


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES if p.name != "__init__.py" or p.parent != PACKAGE], ids=name_of)
def test_imports_go_down(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    here = relative.parts[0].removesuffix(".py")
    for module in imports_of(path):
        if module.split(".")[0] != "fastsig" or module == "fastsig" or module.startswith("fastsig._c"):
            continue
        there = room_of(module)
        floor = FLOOR.get(there, ATTIC) if there else ATTIC - 1
        if there == here:
            continue
        assert floor < FLOOR.get(here, ATTIC) or FLOOR.get(here, ATTIC) == ATTIC, f"{name_of(path)} imports {module}, which is not below it"
        assert not (FLOOR.get(here, ATTIC) < ATTIC <= floor), f"{name_of(path)} imports {module} from above"


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES if p.relative_to(PACKAGE).parts[0].removesuffix(".py") in FLOOR], ids=name_of)
def test_the_package_is_no_way_up(path: Path) -> None:
    """Below the public names, ``import fastsig`` serves only to learn about the package itself, such as its __path__."""
    attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "fastsig"}
    assert all(name.startswith("__") for name in used), f"{name_of(path)} uses fastsig.{used}"


BACKENDS = {
    "c": {"c"},
    "numba": {"numba_blocks", "numba_cache", "numba_cpu", "numba_gather", "numba_reduce", "lowering", "memory"},
    "cuda": {"numba_cuda", *(path.stem for path in (PACKAGE / "backends").glob("cuda_*.py"))},
}


def test_backends_do_not_know_each_other() -> None:
    for own, files in BACKENDS.items():
        others = set().union(*(names for backend, names in BACKENDS.items() if backend != own))
        for file in files:
            modules = imports_of(PACKAGE / "backends" / f"{file}.py")
            used = {part for module in modules if "backends" in module for part in module.split(".")}
            assert not used & others, f"fastsig/backends/{file}.py imports {used & others}"


ROOM_OF_LIBRARY = {
    "numba": r"backends/(numba_\w+|cuda_element\w+|cuda_losses|cuda_totals|cuda_sums|lowering|memory)\.py|interop/numba\.py",
    "llvmlite": r"backends/(lowering|memory|cuda_element\w+|cuda_losses|cuda_totals|cuda_sums|cuda_formulas)\.py",
    "torch": r"interop/torch\.py|gradflow/.*",
    "cupy": r"interop/cupy\.py|backends/numba_cuda\.py",
    "dask": r"interop/dask\.py",
    "fastsig._c": r"backends/c\.py",
    "numba.cuda": r"backends/numba_cuda\.py",
    "cuda": r"backends/(numba_cuda|cuda_launch)\.py",
}


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_a_library_is_imported_in_its_room_only(path: Path) -> None:
    """At module level; a function that was asked for a comparison or a conversion may import what it compares with."""
    relative = path.relative_to(PACKAGE).as_posix()
    for module in imports_of(path, everywhere=False):
        for library, room in ROOM_OF_LIBRARY.items():
            if module == library or module.startswith(library + "."):
                assert re.fullmatch(room, relative), f"fastsig/{relative} imports {module}"
