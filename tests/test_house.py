"""The rules of the house, each failing by name: one row, two formulas, one function an operation; floors; sizes; documentation."""

from __future__ import annotations

import ast
import doctest
import graphlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastsig as fs
from fastsig.arrays import devices
from fastsig.elementwise import functions
from fastsig.ops import OPS, ROUNDED, Op

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastsig"
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted(p for p in (ROOT / "cext").rglob("*") if p.suffix in (".c", ".h", ".py") or p.name == "CMakeLists.txt")
EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_UNARY = pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)
ROOMS = ("core", "logistic", "bce", "losses", "gates")
TWINS = (*ROOMS, "rounded")
"""Room ``rounded`` has some of the operations once more, for ``fastsig.correctly_rounded``."""


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


@pytest.mark.parametrize("op", ROUNDED, ids=lambda op: op.name)
def test_a_correctly_rounded_operation_has_a_formula_for_that(op: Op) -> None:
    assert tuple(python_formulas("rounded").get(op.name, ())) == op.inputs, f"{op.name}: fastsig/formulas/rounded.py must define it"


@EACH_OP
def test_has_a_c_formula(op: Op) -> None:
    rooms = [room for room in ROOMS if op.name in c_formulas(room)]
    assert len(rooms) == 1, f"{op.name}: cext/formulas/ must define it once; found in {rooms}"
    assert tuple(c_formulas(rooms[0])[op.name]) == op.inputs, f"{op.name}: parameters in cext/formulas/{rooms[0]}.h"


@EACH_UNARY
def test_has_a_function_with_documentation(op: Op) -> None:
    function = getattr(fs, op.name, None)
    assert function is not None, f"{op.name}: fastsig/elementwise/functions.py has no such function"
    assert function is getattr(functions, op.name)
    assert op.name in fs.__all__, f"{op.name}: missing in fastsig.__all__"
    doc = inspect.getdoc(function) or ""
    assert re.search(r"``.+``", doc.split("\n\nParameters")[0]), f"{op.name}: its docstring begins with the formula"
    assert "fastsig/formulas/" in doc, f"{op.name}: its docstring does not name its source"
    text = " ".join(doc.split())
    for promised, dtype in ((op.ulp_f32, "float32"), (op.ulp_f64, "float64")):
        assert re.search(rf"{promised} (ULP )?(in|for) [^.;]*{dtype}", text), f"{op.name}: its docstring lacks {promised} ULP in {dtype}"


def test_no_function_without_a_row() -> None:
    public = {
        node.name for node in ast.parse((PACKAGE / "elementwise" / "functions.py").read_text()).body if isinstance(node, ast.FunctionDef)
    }
    assert public == {op.name for op in OPS if op.nin == 1}


@pytest.mark.parametrize("room", TWINS)
def test_twins_have_the_same_functions(room: str) -> None:
    """Same names in the same order, with the same parameters: one text in two alphabets."""
    assert list(python_formulas(room).items()) == list(c_formulas(room).items())


@pytest.mark.parametrize("room", TWINS)
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


SECTIONS = ["Parameters", "Returns", "Raises", "See Also", "Notes", "References", "Examples"]
"""Of NumPy's standard, in its order."""
PUBLIC_CALLS = [name for name in fs.__all__ if callable(getattr(fs, name)) and name != "ufuncs"]


def parameters_of(thing: Any) -> list[str]:
    return [name for name in inspect.signature(thing).parameters if name not in ("self", "args", "kwargs")]


@pytest.mark.parametrize("name", PUBLIC_CALLS)
def test_everything_public_is_documented(name: str) -> None:
    """NumPy's sections in their order; every parameter by name; examples that give what they show."""
    thing = getattr(fs, name)
    doc = inspect.getdoc(thing) or ""
    headings = re.findall(r"^(\w[\w ]*)\n-+$", doc, re.MULTILINE)
    assert headings == [section for section in SECTIONS if section in headings], f"fastsig.{name}: sections {headings}"
    needed = {"Examples"} if inspect.isclass(thing) else {"Returns", "Raises", "Examples"}
    if name in ("backends", "get_num_threads", "set_num_threads"):
        needed -= {"Returns", "Raises"}
    assert needed <= set(headings), f"fastsig.{name}: no {needed - set(headings)}"
    described = doc.partition("Parameters\n")[2].partition("\n\n")[0]
    missing = [p for p in parameters_of(thing) if not re.search(rf"^\*?(.*, )?{p}\b", described, re.MULTILINE)]
    assert not missing, f"fastsig.{name}: parameters without a word: {missing}"


@pytest.mark.parametrize("name", PUBLIC_CALLS)
def test_examples_run(name: str) -> None:
    thing = getattr(fs, name)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, name, None, 0)
    assert example.examples, f"fastsig.{name} has no example"
    assert not doctest.DocTestRunner().run(example).failed, "doctest printed what is different"


def test_all_is_sorted_and_exists() -> None:
    assert list(fs.__all__) == sorted(fs.__all__)
    assert all(hasattr(fs, name) for name in fs.__all__)


# ---- floors: an import goes down, never up, never in a circle, never sideways between backends ----

FLOORS = (
    ("_version", "ops", "formulas", "arrays", "system"),
    ("kernels",),
    ("dispatch",),
    ("ufuncs", "correctly_rounded", "elementwise", "losses", "gates"),
    ("__init__",),
    ("interop", "files", "measure"),
    ("gradflow",),
    ("cli",),
    ("__main__",),
)
"""From the ground up. A room is a folder of the package, or a file that stands beside the folders."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PUBLIC = FLOOR["__init__"]


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
    """The room of a module of this package; "__init__" for the public names."""
    parts = module.split(".")
    room = parts[1] if len(parts) > 1 else "__init__"
    return room if room in FLOOR else "__init__"


def own_imports(path: Path) -> list[str]:
    return [m for m in imports_of(path) if m.split(".")[0] == "fastsig" and not m.startswith("fastsig._c")]


def here(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_every_file_has_a_floor(path: Path) -> None:
    assert here(path) in FLOOR, f"{name_of(path)} stands on no floor of tests/test_house.py"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    """Never to a higher floor, and to the public names only from above them."""
    for module in own_imports(path):
        there = room_of(module)
        above = FLOOR[there] > FLOOR[here(path)] or (FLOOR[there] == PUBLIC and FLOOR[here(path)] <= PUBLIC)
        assert there == here(path) or not above, f"{name_of(path)} imports {module}, which is not below it"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def packages_of(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def graph_of(node_of: Callable[[str], str]) -> dict[str, set[str]]:
    """What each node imports; nodes are the modules, or what node_of makes of their names."""
    known = {module_of(path) for path in PYTHON_FILES}
    graph: dict[str, set[str]] = {}
    for path in PYTHON_FILES:
        used = {module if module in known else module.rpartition(".")[0] for module in own_imports(path)}
        node, own = node_of(module_of(path)), module_of(path)
        packages = {parent for module in used for parent in packages_of(module) if not own.startswith(parent + ".")}
        used |= packages - {own, "fastsig"}  # an import of a module runs the packages that it is in
        graph.setdefault(node, set()).update({node_of(module) for module in used} - {node})
    return graph


@pytest.mark.parametrize("node_of", [str, room_of], ids=["files", "rooms"])
def test_no_circle(node_of: Callable[[str], str]) -> None:
    graphlib.TopologicalSorter(graph_of(node_of)).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES if FLOOR.get(here(p), 0) < PUBLIC], ids=name_of)
def test_the_package_is_no_way_up(path: Path) -> None:
    """Below the public names nobody imports the package for what is in it."""
    assert "fastsig" not in imports_of(path), f"{name_of(path)} imports the whole package from below"


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES if FLOOR.get(here(p), 0) < PUBLIC], ids=name_of)
def test_one_table_is_the_only_way_up(path: Path) -> None:
    """Who computes with another library's objects is loaded by name, from ``INTEROP`` in arrays/devices.py and from nowhere else."""
    text = path.read_text()
    assert path == PACKAGE / "arrays" / "devices.py" or "fastsig.interop" not in text, f"{name_of(path)} names a room above it"


def test_the_table_that_leads_up_names_modules_that_exist() -> None:
    assert devices.INTEROP
    for library, module in devices.INTEROP.items():
        assert module == f"fastsig.interop.{library}"
        assert module in {module_of(path) for path in PYTHON_FILES}


BACKENDS = ("c", "numba", "cuda")


@pytest.mark.parametrize("path", [p for p in PYTHON_FILES if here(p) == "kernels"], ids=name_of)
def test_backends_do_not_know_each_other(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[1]
    used = {m.split(".")[2] for m in own_imports(path) if m.startswith("fastsig.kernels.")} & set(BACKENDS)
    assert used <= ({own} if own in BACKENDS else set()), f"{name_of(path)} imports {used - {own}}"


ROOM_OF_LIBRARY = {
    "numba": r"kernels/numba/.*|kernels/cuda/(compiler|elements|\w+_kernels|sums|totals)\.py|interop/numba/.*",
    "llvmlite": r"kernels/numba/.*|kernels/cuda/(elements|foreign|halves|\w+_kernels|sums|totals|tracing)\.py",
    "torch": r"interop/torch/.*|gradflow/.*",
    "cupy": r"interop/cupy\.py",
    "dask": r"interop/dask\.py",
    "xgboost": r"interop/boosting\.py",
    "lightgbm": r"interop/boosting\.py",
    "threadpoolctl": r"interop/threadpoolctl\.py",
    "fastsig._c": r"kernels/c/extension\.py",
    "numba.cuda": r"kernels/cuda/compiler\.py|interop/numba/(device|in_kernels)\.py",
    "cuda": r"kernels/cuda/(compiler|launch)\.py",
}


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_a_library_is_imported_in_its_room_only(path: Path) -> None:
    """At module level; a function that was asked for a comparison or a conversion may import what it compares with."""
    relative = path.relative_to(PACKAGE).as_posix()
    for module in imports_of(path, everywhere=False):
        for library, room in ROOM_OF_LIBRARY.items():
            if module == library or module.startswith(library + "."):
                assert re.fullmatch(room, relative), f"fastsig/{relative} imports {module}"
