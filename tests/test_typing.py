"""The types of the public names: the stub beside the code, and what checkers say of the examples in typing/."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastsig as fs

STUB = Path(fs.__file__).with_suffix(".pyi")
EXAMPLES = Path(__file__).with_name("typing")
TREE = ast.parse(STUB.read_text())
OPTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}


def keys(name: str) -> set[str]:
    """The options of a TypedDict and of those that it stands on."""
    node = OPTIONS[name]
    own = {item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)}
    return own.union(*(keys(base.id) for base in node.bases if isinstance(base, ast.Name) and base.id in OPTIONS))


def test_the_stub_has_all_public_names() -> None:
    listed = next(node.value for node in TREE.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    assert ast.literal_eval(listed) == fs.__all__
    bound = {alias.asname for node in TREE.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    bound |= {node.target.id for node in TREE.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    assert set(fs.__all__) <= bound | FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_stub_has_the_arguments_of_the_code(name: str) -> None:
    parameters = FUNCTIONS[name].args
    options = parameters.kwarg
    assert options is not None
    assert isinstance(options.annotation, ast.Subscript)
    stated = {arg.arg for arg in (*parameters.args, *parameters.kwonlyargs)} | keys(ast.unparse(options.annotation.slice))
    assert stated == set(inspect.signature(getattr(fs, name)).parameters)


def test_the_functions_of_one_input_have_the_arguments_of_the_code() -> None:
    stated = {"x", "out", "dtype"} | keys("_UfuncOptions")
    assert stated == set(inspect.signature(fs.sigmoid).parameters)


def said(*command: str) -> str:
    environment = {**os.environ, "MYPYPATH": str(STUB.parent.parent)}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=environment)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_mypy_agrees(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    assert not said("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(EXAMPLES / "arrays.py"))


@pytest.mark.slow
def test_pyright_agrees() -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    found = [name for name in ("pandas", "torch", "xarray") if importlib.util.find_spec(name)]
    files = ["arrays.py", *(["libraries.py"] if len(found) == 3 else [])]
    assert not said("pyright", "--pythonpath", sys.executable, *(str(EXAMPLES / name) for name in files))
