"""Numba as it may be found: broken, told to compile for other processors, its cache damaged or another user's. A call works or says why."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from processes import error_of, printed, run_python

from fastsig.kernels import code_cache

pytestmark = pytest.mark.usefixtures("need_numba")


# ---- a Numba that cannot be loaded ----

BROKEN = {
    "an ImportError": ("raise ImportError('it needs another NumPy')", "ImportError: it needs another NumPy"),
    "any exception": ("raise KeyError('llvm')", "KeyError: 'llvm'"),
    "half an installation": ("", "Numba cannot be loaded ("),
    "another file of that name": ("config = 1", "Numba cannot be loaded ("),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_numba_whose_import_raises_is_not_available(case: str, tmp_path: Path, need_c: None) -> None:
    text, why = BROKEN[case]
    (tmp_path / "numba.py").write_text(text)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import numpy as np, fastsig as fs"
    status = printed(f"{code}; print(fs.backends()['numba'])")
    assert status.startswith("Numba cannot be loaded (")
    assert why in status
    assert error_of(f"{code}; fs.sigmoid(1.0, backend='numba')") == f"RuntimeError: backend='numba' cannot serve: {status}"
    calls = "fs.sigmoid(0.0), fs.sigmoid(np.zeros(300_000), threads=2)[0], fs.bce_with_logits([0.5], [1.0]) > 0"
    assert printed(f"{code}; print({calls})") == "0.5 0.5 True"


def test_with_neither_a_call_says_so(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise OSError('no LLVM')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['fastsig._c'] = None; import fastsig as fs; fs.sigmoid(1.0)"
    error = error_of(code)
    assert error.startswith("RuntimeError: the Numba backend cannot serve: Numba cannot be loaded (OSError: no LLVM); the C backend: ")


def test_numba_that_compiles_nothing_is_not_available(need_c: None) -> None:
    code = "import fastsig as fs; print(fs.backends()['numba'], fs.sigmoid(0.0))"
    assert printed(code, NUMBA_DISABLE_JIT="1") == "NUMBA_DISABLE_JIT is set, so Numba compiles nothing; unset it 0.5"


# ---- asked while a function of the user's is being compiled ----

WITHIN = """
import hashlib, numba, numpy as np, fastsig as fs
from fastsig.dispatch.availability import ufunc_of
from numba.extending import overload

def digest():
    x = np.random.default_rng(0).normal(0, 5, 4096).astype("f4")
    t = np.linspace(0, 1, x.size).astype("f4")
    parts = [ufunc_of("numba", "sigmoid")(x), fs.glu(x, backend="numba"), fs.bce_with_logits_grad_hess(x, t, weight=t, backend="numba")]
    return [hashlib.sha256(np.asarray(part).tobytes()).hexdigest() for part in parts]

def ask():
    pass

answers = []

@overload(ask)
def while_compiling():
    answers.append(digest())
    return lambda: None

@numba.njit(fastmath=True)
def users():
    ask()

if {within}:
    users()
print(*(answers[0] if {within} else digest()))
"""


def test_a_kernel_has_none_of_the_flags_of_a_function_whose_compilation_asks_for_it(tmp_path: Path) -> None:
    within = run_python(WITHIN.format(within=True), environment={"NUMBA_CACHE_DIR": str(tmp_path)}, timeout=300)
    assert within.returncode == 0, within.stderr
    assert within.stdout == run_python(WITHIN.format(within=False), timeout=300).stdout


def test_code_that_was_made_slow_is_not_kept_for_others(tmp_path: Path) -> None:
    """Its entry in the cache is another one's."""
    code = """
import fastsig as fs
from fastsig.kernels import code_cache
keep, kept = code_cache.keep, []
code_cache.keep = lambda place, name, key, code: kept.append(key)
fs.logit(0.5, backend="numba")
print(len(kept), {*kept})
"""
    keys = [printed(code, NUMBA_CACHE_DIR=str(tmp_path), **how) for how in ({}, {"NUMBA_OPT": "0"}, {"NUMBA_LOOP_VECTORIZE": "0"})]
    assert len({*keys}) == 3
    assert not any(key.startswith("0") for key in keys)


# ---- other processors ----

RESULTS = """
import hashlib, numpy as np, fastsig as fs
from fastsig.dispatch.availability import ufunc_of
halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
x = np.linspace(-120, 120, 5000)
parts = [ufunc_of({backend!r}, "sigmoid")(halves), ufunc_of({backend!r}, "sigmoid")(x.astype("f4")), ufunc_of({backend!r}, "sigmoid")(x)]
parts = [np.where(np.isnan(part), part.dtype.type(0), part) for part in parts]
if {losses}:
    parts += fs.bce_with_logits_value_and_grad(x.astype("f2"), x > 0, backend={backend!r})
print(hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest())
"""
PROCESSORS = {
    "the oldest": {"NUMBA_CPU_NAME": "generic"},
    "AVX alone": {"NUMBA_CPU_NAME": "sandybridge"},
    "none by that name": {"NUMBA_CPU_NAME": "nonsense"},
    "without F16C": {"NUMBA_CPU_FEATURES": "-f16c"},
    "without FMA": {"NUMBA_CPU_FEATURES": "-fma,-fma4,-avx512f"},
    "without AVX2": {"NUMBA_CPU_FEATURES": "-avx2"},
    "a feature by no name": {"NUMBA_CPU_FEATURES": "+nonsense"},
}


def results(backend: str, losses: bool, environment: dict[str, str]) -> str:
    done = run_python(RESULTS.format(backend=backend, losses=losses), environment=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_old_processor_has_the_same_bits(need_c: None, tmp_path: Path) -> None:
    """The halves all, NaN for NaN."""
    assert results("numba", False, {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}) == results("c", False, {})


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_other_processors_have_the_same_bits(processor: str, need_c: None, tmp_path: Path) -> None:
    """In losses too."""
    assert results("numba", True, {**PROCESSORS[processor], "NUMBA_CACHE_DIR": str(tmp_path)}) == results("c", True, {})


def test_a_feature_that_this_processor_lacks(need_c: None) -> None:
    """An instruction that it does not know would end the process."""
    import llvmlite.binding as llvm

    lacking = next((name for name, has in llvm.get_host_cpu_features().items() if not has), None)
    if lacking is None:
        pytest.skip("LLVM knows of none")
    words = printed("import fastsig as fs; print(fs.backends()['numba'])", NUMBA_CPU_FEATURES=f"+{lacking}")
    assert words == f"NUMBA_CPU_FEATURES asks for {lacking}, which this processor has not; unset it"


def test_a_processor_that_this_one_is_not(need_c: None) -> None:
    import llvmlite.binding as llvm

    if llvm.get_host_cpu_features().get("avx512f", True):
        pytest.skip("this processor has what the others have")
    words = printed("import fastsig as fs; print(fs.backends()['numba'])", NUMBA_CPU_NAME="skylake-avx512", NUMBA_CPU_FEATURES="")
    assert words == "NUMBA_CPU_NAME=skylake-avx512 has avx512f, which this processor has not; unset it"


def test_halves_by_bits_are_those_of_the_processor() -> None:
    """All of them, and what rounds to each: the formulas of ``memory`` on all halves and around every point between two."""
    from numba import njit, types

    from fastsig.kernels.numba import gather, memory

    def both(widen: Callable[..., object], narrow: Callable[..., object]) -> list[np.ndarray]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(memory._WIDEN, "f16", widen)
            patch.setitem(memory._NARROW, "f16", narrow)
            load, store = gather.load_store("f16")
        pointer = gather.pointer_to(types.uint16)

        @njit
        def convert(halves, floats, wide, narrow):  # type: ignore[no-untyped-def]
            for i in range(len(halves)):
                wide[i] = load(pointer(halves.ctypes.data), i)
            for i in range(len(floats)):
                store(pointer(narrow.ctypes.data), i, floats[i])

        out = [np.empty(halves.size, np.float32), np.empty(floats.size, np.uint16)]
        convert(halves, floats, *out)
        return [np.where(np.isnan(out[0]), 0, out[0]), np.where(np.isnan(out[1].view(np.float16)), 0, out[1])]

    halves = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(all="ignore"):
        exact = halves.view(np.float16).astype(np.float32)
        below = exact[np.isfinite(exact)]
        above = np.nextafter(below.astype(np.float16), np.float16(np.inf)).astype(np.float32)
        between = (below + above) / 2
        around = [np.nextafter(between, np.float32(to)) for to in (-np.inf, np.inf)]
        floats = np.concatenate([exact, between, *around, exact / 7, exact * 7])
    if not memory.converts_halves():
        pytest.skip("this processor has no instructions to compare with")
    by_bits = both(memory._widen_f16_by_bits, memory._narrow_f16_by_bits)
    for a, b in zip(by_bits, both(memory._widen_f16, memory._narrow_f16), strict=True):
        assert a.tobytes() == b.tobytes()


# ---- the cache on disk: damaged, or another's ----

CALL = "import fastsig as fs; print(fs.sigmoid(-100.5, backend='numba'))"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache with one operation in it, and what the call printed."""
    place = tmp_path_factory.mktemp("cache")
    return place, printed(CALL, NUMBA_CACHE_DIR=str(place))


def entries(place: Path) -> list[Path]:
    return sorted((place / "fastsig").glob("*.nbc"))


@pytest.fixture
def cache(kept: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy, for a test to spoil."""
    (tmp_path / "fastsig").mkdir(mode=0o700)
    for entry in entries(kept[0]):
        (tmp_path / "fastsig" / entry.name).write_bytes(entry.read_bytes())
        (tmp_path / "fastsig" / entry.name).chmod(0o600)
    return tmp_path, kept[1]


def _directory(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


def _fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def _changed(entry: Path) -> None:
    """One bit, in the machine code."""
    code = bytearray(entry.read_bytes())
    code[len(code) // 2] ^= 1
    entry.write_bytes(code)


def _another(entry: Path) -> None:
    """A whole entry, of another kernel."""
    entry.write_bytes(next(path for path in entries(entry.parent.parent) if path != entry).read_bytes())


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda entry: entry.write_bytes(b""),
    "cut off": lambda entry: entry.write_bytes(entry.read_bytes()[:-100]),
    "cut off in the digest": lambda entry: entry.write_bytes(entry.read_bytes()[:7]),
    "garbage": lambda entry: entry.write_bytes(os.urandom(5000)),
    "a pickle of something else": lambda entry: entry.write_bytes(b"\x80\x04K\x01."),
    "one bit": _changed,
    "another kernel's": _another,
    "a directory": _directory,
    "a FIFO": _fifo,
    "a link to nothing": lambda entry: (entry.unlink(), entry.symlink_to("nothing")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_passed_over(damage: str, cache: tuple[Path, str]) -> None:
    """Read in this process; the next test has a call over all kinds of damage."""
    place, _ = cache
    entry = entries(place)[0]
    DAMAGE[damage](entry)
    assert code_cache.load(str(entry.parent), entry.name, "any") is None


def test_a_call_over_damaged_entries_is_right_and_mends_what_it_can(cache: tuple[Path, str]) -> None:
    place, want = cache
    before = {path.name: path.read_bytes() for path in entries(place)}
    assert len(before) == 3
    for entry, damage in zip(entries(place), ("one bit", "another kernel's", "a directory"), strict=True):
        DAMAGE[damage](entry)
    assert printed(CALL, NUMBA_CACHE_DIR=str(place)) == want
    mended = [path for path in entries(place) if path.is_file() and path.read_bytes()[:32] != before[path.name][:32]]
    assert len([path for path in entries(place) if path.is_file()]) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in entries(place) if path.is_file())
    changed = {path: path.stat().st_mtime_ns for path in entries(place) if path.is_file()}
    assert printed(CALL, NUMBA_CACHE_DIR=str(place)) == want
    assert {path: path.stat().st_mtime_ns for path in changed} == changed, f"compiled again: {mended}"


def test_an_entry_that_others_can_write_is_not_loaded(tmp_path: Path) -> None:
    place = tmp_path / "kernels"
    code_cache.keep(str(place), "a.nbc", "key", b"code")
    assert code_cache.load(str(place), "a.nbc", "key") == b"code"
    assert code_cache.load(str(place), "a.nbc", "other key") is None
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    for mode in (0o620, 0o602, 0o666):
        (place / "a.nbc").chmod(mode)
        assert code_cache.load(str(place), "a.nbc", "key") is None
        assert list(code_cache.passed_over(str(place))) == [("a.nbc", f"others can write to it (mode {mode:o})")]
    (place / "a.nbc").chmod(0o644)
    assert code_cache.load(str(place), "a.nbc", "key") == b"code"
    for mode in (0o770, 0o707, 0o777):
        place.chmod(mode)
        assert code_cache.load(str(place), "a.nbc", "key") is None
        assert code_cache.problem(str(place)) == f"others can write to it (mode {mode:o})"
        code_cache.keep(str(place), "b.nbc", "key", b"code")
        assert [path.name for path in place.iterdir()] == ["a.nbc"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_another_users_entry_or_directory_is_not_loaded(tmp_path: Path) -> None:
    place = tmp_path / "kernels"
    code_cache.keep(str(place), "a.nbc", "key", b"code")
    os.chown(place / "a.nbc", 54321, 54321)
    assert code_cache.load(str(place), "a.nbc", "key") is None
    os.chown(place / "a.nbc", 0, 0)
    os.chown(place, 54321, 54321)
    assert code_cache.load(str(place), "a.nbc", "key") is None
    assert code_cache.problem(str(place)) == "it belongs to another user (uid 54321)"


def test_info_says_why_a_cache_is_not_used(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['fastsig', 'info']; from fastsig.cli.info import facts; print(dict(facts())[\"Numba's cache\"])"
    place = tmp_path / "fastsig"
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)) == str(place)
    code_cache.keep(str(place), "a.nbc", "key", b"code")
    (place / "a.nbc").chmod(0o666)
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)) == f"{place}, without a.nbc: others can write to it (mode 666)"
    place.chmod(0o777)
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)) == f"none; not {place}: others can write to it (mode 777)"
