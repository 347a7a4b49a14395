"""What decides whether an operation has to be measured on all inputs again: its own text and constants, and what compiled them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checking import keep, small_and_apart

from fastsig.measure.accuracy import engines, exhaustive, records, runs, sources
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.sources import SHORT, Sources
from fastsig.ops import OPS

ROOT = Path(__file__).parent.parent
NAMES = {op.name for op in OPS}
Text = pytest.CaptureFixture[str]
__all__ = ["small_and_apart"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("fastsig", "cext"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tmp_path


def hashes(checkout: Path) -> dict[tuple[str, str], str]:
    found = Sources(checkout / "fastsig", checkout / "cext")
    return {(op, dtype): found.formula_hash(op, dtype) for op in NAMES for dtype in SHORT}


def changed(checkout: Path, file: str, old: str, new: str) -> set[tuple[str, str]]:
    """The operations and types whose hash is another after this change of a file."""
    before, text = hashes(checkout), (checkout / file).read_text()
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
    (checkout / file).write_text(text.replace(old, new))
    after = hashes(checkout)
    return {key for key in before if before[key] != after[key]}


def in_every_type(*ops: str) -> set[tuple[str, str]]:
    return {(op, dtype) for op in ops for dtype in SHORT}


def test_every_operation_in_every_type_has_a_hash_of_its_own(checkout: Path) -> None:
    found = hashes(checkout)
    assert len({*found.values()}) == len(found) == 4 * len(NAMES)


def body_changed(checkout: Path, alphabet: str, room: str, function: str) -> set[tuple[str, str]]:
    """After one more statement at the head of a function."""
    file = f"fastsig/formulas/{room}.py" if alphabet == "Python" else f"cext/formulas/{room}.h"
    heads = {
        "Python": rf"^def {function}\([^\n]*:\n(?:    \"\"\".*?\"\"\"\n)?",
        "C": rf"^FORMULA [^\n]*?\bFN\({function}\)\([^)]*\) \{{\n",
    }
    found = re.search(heads[alphabet], (checkout / file).read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{function} is not in {file}"
    added = "    other = 1\n" if alphabet == "Python" else "    R other = 1;\n"
    return changed(checkout, file, found[0], found[0] + added)


EACH_ALPHABET = pytest.mark.parametrize("alphabet", ["Python", "C"])


@EACH_ALPHABET
@pytest.mark.parametrize(
    ("room", "function", "reaching"),
    [
        ("logistic", "sigmoid", {"sigmoid"}),
        ("logistic", "logit", {"logit"}),
        ("logistic", "softplus", {"softplus", "log_sigmoid"}),
        ("logistic", "with_sign_of", {"tanh"}),
        ("bce", "bce_grad", {"bce_grad"}),
        ("bce", "neg_log1m", {"bce"}),
        ("core", "tail", {"tanh", "tanh_grad", "bce_with_logits_grad"}),
        ("core", "tail_reduced", {"sigmoid", "sigmoid_grad", "silu", "tanh", "tanh_grad", "bce_with_logits_grad"}),
        ("core", "tail_pair", {"silu_grad"}),
        ("core", "log1p_exp", {"bce_with_logits"}),
        ("core", "log1p_exp_reduced", {"softplus", "log_sigmoid", "bce_with_logits"}),
        ("core", "exp_range", NAMES - {"logit", "bce", "bce_grad"}),
        ("losses", "focal_power", set()),
    ],
)
def test_a_changed_function_changes_what_reaches_it(checkout: Path, alphabet: str, room: str, function: str, reaching: set[str]) -> None:
    assert body_changed(checkout, alphabet, room, function) == in_every_type(*reaching)


def test_a_changed_primitive_changes_what_reaches_it(checkout: Path) -> None:
    fused = "#define fma(a, b, c) _Generic((R)0, float: __builtin_fmaf, double: __builtin_fma)(a, b, c)"
    assert changed(checkout, "cext/formulas/prims.h", fused, fused.replace("(R)0", "(R)1")) == in_every_type(*NAMES - {"bce_grad"})
    shift = "#define shr(i, n) ((I)((I)(i) >> (n)))"
    assert changed(checkout, "cext/formulas/prims.h", shift, shift.replace(">>", "<<")) == in_every_type("bce")


@pytest.mark.parametrize(("alphabet", "comment"), [("py", "# so said somebody\n"), ("h", "/* so said\n * somebody */\n")])
def test_words_about_it_change_nothing(checkout: Path, alphabet: str, comment: str) -> None:
    for file in [*checkout.glob(f"fastsig/formulas/*.{alphabet}"), *checkout.glob(f"cext/formulas/*.{alphabet}")]:
        before, text = hashes(checkout), file.read_text()
        file.write_text(text.rstrip("\n") + "\n\n" + comment)
        assert hashes(checkout) == before, file.name
    docstring = '    """sigmoid(x) - t."""\n'
    if alphabet == "py":
        assert not changed(checkout, "fastsig/formulas/bce.py", docstring, docstring.replace("sigmoid", "s"))


def test_a_constant_counts_where_it_is_taken(checkout: Path) -> None:
    constants = "fastsig/formulas/constants.py"
    assert changed(checkout, constants, "odds_lift=2.0**67", "odds_lift=2.0**66") == {("logit", d) for d in SHORT if d != "float64"}
    assert changed(checkout, constants, "a_max=752.0", "a_max=753.0") == {(op, "float64") for op in NAMES - {"logit", "bce", "bce_grad"}}
    assert not changed(checkout, constants, "half_step=1 << 22", "half_step=1 << 21"), "no operation takes it"


def test_a_patch_of_a_half_counts_for_that_half(checkout: Path) -> None:
    halves = "fastsig/formulas/halves.py"
    assert changed(checkout, halves, "0x35E5: 0xC155", "0x35E5: 0xC154") == {("logit", "bfloat16")}
    rounding = "return (u + 0x7fff + ((u >> 16) & 1)) >> 16;"
    assert changed(checkout, "cext/formulas/half.h", rounding, rounding.replace("1)", "0)")) == {(op, "bfloat16") for op in NAMES}


# ---- what compiled it ----


@pytest.mark.parametrize(
    ("file", "old", "new", "whose"),
    [
        ("cext/kernels.c", "enum { BLOCK = 256 };", "enum { BLOCK = 128 };", "c"),
        ("cext/environment.h", "MXCSR_DEFAULT = 0x1f80", "MXCSR_DEFAULT = 0x9fc0", "c"),
        ("cext/memory.h", "enum { LINE = 64 };", "enum { LINE = 32 };", "c"),
        ("cext/python/build.py", 'return f"__builtin_inf{mark}()"', 'return f"-__builtin_inf{mark}()"', "c"),
        (f"fastsig/{sources.NUMBA_PRIMITIVES}", "builder.fsub(a, b)", "builder.fadd(a, b)", "numba"),
        (f"fastsig/{sources.NUMBA_LOOPS[0]}", "padded = (take + 31) // 32 * 32", "padded = (take + 15) // 16 * 16", "numba"),
    ],
)
def test_the_loops_of_a_backend_count_for_all_of_it(checkout: Path, file: str, old: str, new: str, whose: str) -> None:
    def loops() -> dict[str, str]:
        found = Sources(checkout / "fastsig", checkout / "cext")
        return {name: found.loops_hash(name) for name in ("c", "numba")}

    before = loops()
    assert not changed(checkout, file, old, new), "formulas have a hash of their own"
    after = loops()
    assert {name for name in before if before[name] != after[name]} == {whose}


def test_what_cffi_is_told_does_not_count(checkout: Path) -> None:
    before = Sources(checkout / "fastsig", checkout / "cext").loops_hash("c")
    changed(checkout, "cext/python/build.py", "    const char *fastsig_version(void);\n", "")
    assert Sources(checkout / "fastsig", checkout / "cext").loops_hash("c") == before


def test_the_build_names_compiler_machine_and_flags(need_c: None) -> None:
    made = {isa: sources.here().made_by(Engine("c", isa)) for isa in ("baseline", "v3", "v4") if isa in engines_isas()}
    assert len({*made.values()}) == len(made), "each instruction set has flags of its own"
    for text in made.values():
        assert re.match(r"(GNU|Clang|AppleClang) \d+\.\d+.*, \w+, .*-O3 -ffp-contract=off .*; loops [0-9a-f]{16}$", text), text


def test_an_older_library_is_no_measure_of_these_sources(checkout: Path, need_c: None) -> None:
    found, best = Sources(checkout / "fastsig", checkout / "cext"), engines.native()[0]
    assert found.made_by(best) == sources.here().made_by(best)
    changed(checkout, "cext/formulas/logistic.h", "FN(sigmoid)(R x) {\n", "FN(sigmoid)(R x) { /* as ever */\n")
    with pytest.raises(ValueError, match="built from other sources than these; install it again"):
        found.made_by(best)


def engines_isas() -> list[str]:
    return [engine.isa for engine in engines.every() if engine.backend == "c"]


# ---- the record, and the slice ----


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Any]:
    """docs/accuracy.json of its own, empty; and a chunk count small enough to measure all."""
    monkeypatch.setattr(records, "path", lambda: tmp_path / "accuracy.json")
    monkeypatch.setattr(runs.records, "commit", lambda: "0123456789ab")
    monkeypatch.setattr("tools.accuracy.report.write", lambda: None)
    return lambda: json.loads((tmp_path / "accuracy.json").read_text())


FULL = ("--ops", "sigmoid", "--dtypes", "float32", "--exhaustive")


def test_all_inputs_again_only_where_something_changed(record: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    def measured() -> tuple[str, int, str]:
        assert keep(*FULL, "--changed", "2a", "--json", "--restart") == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        return result["mode"], result["count"], result["commit"]

    chunks = 2 * exhaustive.CHUNK * 2
    assert measured() == ("exhaustive", chunks, "0123456789ab"), "nothing is on record"
    assert keep(*FULL, "--write", "--json") == 0
    capsys.readouterr()
    (row,) = record()["full"]
    assert row["ops"]["sigmoid"] == {"formulas": sources.here().formula_hash("sigmoid", "float32"), "commit": "0123456789ab"}
    assert list(row["builds"]) == [engines.native()[0].name]
    assert measured() == ("slice", chunks // exhaustive.SLICES, "0123456789ab")
    honest = Sources.formula_hash
    with monkeypatch.context() as other:
        other.setattr(Sources, "formula_hash", lambda self, op, dtype: honest(self, op, dtype) + "x")
        assert measured()[0] == "exhaustive", "another formula"
    with monkeypatch.context() as other:
        other.setattr(Sources, "made_by", lambda self, engine: "GNU 13, other flags")
        assert measured()[0] == "exhaustive", "another compiler, other flags or another instruction set"
    assert measured()[0] == "slice"


def test_a_budget_that_is_spent(record: Callable[[], Any], capsys: Text) -> None:
    """Nothing is on record, and yet a slice is all that there is time for: which is said."""
    assert keep(*FULL, "--changed", "2a", "--budget", "1e-9", "--json") == 0
    said = capsys.readouterr()
    (result,) = json.loads(said.out)["results"]
    assert result["mode"] == "slice"


def test_the_slice_is_said(record: Callable[[], Any], capsys: Text) -> None:
    assert keep(*FULL, "--write") == 0
    assert keep(*FULL, "--changed", "2a") == 0
    said = capsys.readouterr().err
    assert "sigmoid float32: measured in full by 0123456789ab on such a build; here slice 42 of 64, which 2a picks" in said


def test_slices_are_a_partition_and_each_has_its_share_of_every_chunk() -> None:
    for index in (0, 1, 1000, exhaustive.CHUNKS - 1):
        parts = [exhaustive.starts(index, part) for part in range(exhaustive.SLICES)]
        assert sorted(start for part in parts for start in part) == exhaustive.starts(index, None)
        assert {len(part) for part in parts} == {2}


def test_every_part_of_the_mantissa_is_met() -> None:
    """8 chunks are one exponent: a slice's places in them differ from exponent to exponent."""
    step = exhaustive.EXPONENT * exhaustive.CHUNK
    places = {start % step for index in range(64 * exhaustive.EXPONENT) for start in exhaustive.starts(index, 5)}
    assert len(places) == step // exhaustive.BLOCK


def test_a_fault_in_the_slice_is_told(record: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    assert keep(*FULL, "--write") == 0
    monkeypatch.setattr(runs.Result, "ceiling", -1.0)
    assert keep(*FULL, "--changed", "2a", "--restart") == 1
    assert "ULP, and -1.0 are allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--changed", "main", "--exhaustive"], "'main' is not a commit; give its hash"), (["--changed", "2a"], "give both")],
)
def test_mistakes(arguments: list[str], said: str, capsys: Text) -> None:
    try:
        assert keep(*arguments) == 2
    except SystemExit as stopped:
        assert stopped.code == 2
    assert said in capsys.readouterr().err


def test_the_committed_record_is_of_these_formulas() -> None:
    """As ``--stale`` says, but here with every run of the tests."""
    rows = json.loads((ROOT / "docs" / "accuracy.json").read_text())["results"]
    found = Sources(ROOT / "fastsig", ROOT / "cext")
    other = [f"{r['op']} {r['dtype']}" for r in rows if r["formulas"] != found.formula_hash(r["op"], r["dtype"])]
    assert not other, "measured with other formulas than these"
