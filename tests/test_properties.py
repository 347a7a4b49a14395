"""Property tests: whatever an array looks like in memory, its results are those of its elements, one at a time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from reference import Array, assert_same_bits
from views import EXACT, FLOATS, LONG, Layout, broadcast_shapes, dtype_of, layouts, lively, memory_for, shapes

import fastsig as fs
from fastsig.dispatch import availability, sharing, thresholds
from fastsig.elementwise import call, pieces
from fastsig.kernels.c.status import library
from fastsig.losses import evaluate, fast_path
from fastsig.ops import OPS, Op
from fastsig.system import thread_pool

QUICK = settings(max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(QUICK, max_examples=200)
EACH_PROFILE = pytest.mark.parametrize(
    "profile", [pytest.param(QUICK, id=""), pytest.param(THOROUGH, id="thorough", marks=pytest.mark.slow)]
)
SEEDS = st.integers(0, 2**32 - 1)
EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_UNARY = pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)


def served(backend: str) -> tuple[str, ...]:
    """Numba's ufuncs have no bfloat16 loops, and without ml_dtypes nobody has."""
    if backend != "c":
        return FLOATS[:-1]
    try:
        fs.sigmoid(np.zeros(1, dtype_of("bfloat16")))  # from here on the C ufuncs know this type
    except ImportError:
        return FLOATS[:-1]
    return FLOATS


def one_at_a_time(name: str, operands: tuple[Array, ...]) -> Array:
    """Each element in an array of its own, contiguous and aligned, by the backend that serves when none is named."""
    ufunc = availability.ufunc_of(availability.host_backend(), name)
    columns = [a.ravel() for a in np.broadcast_arrays(*operands)]
    results = [ufunc(*(c[i : i + 1] for c in columns)) for i in range(columns[0].size)]
    empty = ufunc(*(np.ones(1, a.dtype) for a in operands))[:0]
    return np.concatenate([empty, *results]).reshape(np.broadcast_shapes(*(a.shape for a in operands)))


def draw_operands(data: st.DataObject, op: Op, backend: str, shape: tuple[int, ...]) -> tuple[list[Layout], list[Array], list[Array]]:
    """For each argument its layout, its memory and the array over it: of any types, which NumPy then promotes."""
    first = data.draw(st.sampled_from((*served(backend), *FLOATS[1:3], *EXACT)), label="dtype")
    names = [first]
    if op.nin == 2:  # the types of ml_dtypes promote with few others
        others = (first,) if first == "bfloat16" else (*FLOATS[:-1], *EXACT)
        names.append(data.draw(st.one_of(st.just(first), st.sampled_from(others)), label="dtype of t"))
    at, memories, views = [], [], []
    for place, name in enumerate(names):
        dtype = dtype_of(name)
        mine = data.draw(broadcast_shapes(shape)) if place else shape
        at.append(data.draw(layouts(mine, dtype.itemsize), label="layout"))
        memories.append(memory_for(at[-1], dtype, data.draw(SEEDS)))
        views.append(at[-1].over(memories[-1], dtype))
    return at, memories, views


def draw_mask(data: st.DataObject, shape: tuple[int, ...]) -> Any:
    if data.draw(st.integers(0, 2)):
        return True
    layout = data.draw(layouts(data.draw(broadcast_shapes(shape)), 1), label="where")
    return layout.over(memory_for(layout, np.dtype(bool), data.draw(SEEDS)), np.dtype(bool))


def check_views(data: st.DataObject, op: Op, compute: Callable[..., Array], backend: str) -> None:
    """Inputs of any layout and type; an output of any layout, of a wider or narrower type, beside the inputs or across them; a mask."""
    shape = data.draw(shapes(), label="shape")
    _, memories, views = draw_operands(data, op, backend, shape)
    want = one_at_a_time(op.name, tuple(views))
    out = data.draw(st.sampled_from(["new", "apart", "across", "in place"]), label="out")
    if out == "new":
        assert_same_bits(compute(*views), want, views, op.name)
        return
    mask = draw_mask(data, shape)
    place = data.draw(st.integers(0, op.nin - 1), label="operand") if out in ("across", "in place") else 0
    if out == "in place" and views[place].dtype == want.dtype and views[place].shape == shape and views[place].flags.writeable:
        target = views[place]
        memory = memories[place]
    else:
        dtype = want.dtype if out == "across" or want.dtype.name == "bfloat16" else dtype_of(data.draw(st.sampled_from(FLOATS[:-1])))
        layout = data.draw(layouts(shape, dtype.itemsize, repeat=False), label="out layout")
        memory = memories[place] if out == "across" else np.zeros(0, np.uint8)
        if memory.size < layout.size(dtype.itemsize):
            memory = memory_for(layout, dtype, data.draw(SEEDS))
        target = layout.over(memory, dtype)
    kept = memory.copy()
    before = target.copy()
    assert compute(*views, out=target, where=mask, casting="same_kind") is target
    want = np.where(mask, want.astype(target.dtype), before)
    assert_same_bits(target.copy(), want, label=f"{op.name}, out {out}")
    target[...] = before
    assert memory.tobytes() == kept.tobytes(), f"{op.name}: wrote beside the output"


def for_all(profile: settings, test: Callable[[st.DataObject], None], *labels: str) -> None:
    """Run it on the profile's number of examples: the same in every run, others for other labels."""
    examples = seed(zlib.crc32(" ".join(labels).encode()))(profile(given(st.data())(test)))
    with np.errstate(all="ignore"):  # NumPy's own casts raise flags: of signalling NaNs, and into narrower outputs
        examples()


@pytest.fixture
def eager_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Small arrays are shared among threads too, in pieces as small as sums allow; the list hears of each array that was.

    By Python's threads: the C library's take pieces that are larger than these arrays (test_threads.py has arrays for them).
    """
    shared: list[int] = []
    over_pieces, on_c = thread_pool.over_pieces, evaluate._reduce

    def listening(work: Callable[[slice], Any], size: int, threads: int) -> None:
        if threads > 1 and size > thread_pool.PIECE:
            shared.append(threads)
        over_pieces(work, size, threads)

    def listening_on_c(backend: str, plan: Array, numbers: Any, size: int, threads: int, alive: Any) -> Any:
        if backend == "c" and threads > 1 and size > 1024:
            shared.append(threads)
        return on_c(backend, plan, numbers, size, threads, alive)

    least, of_losses = dict.fromkeys(thresholds.ELEMENTS, 1), dict.fromkeys(thresholds.ELEMENTS, 1024)
    monkeypatch.setattr(call, "LEAST_BYTES", 1)
    tuned = thresholds.Thresholds(parallel=dict.fromkeys(thresholds.UNARY, least) | dict.fromkeys(thresholds.LOSSES, of_losses))
    monkeypatch.setattr(thresholds, "in_force", lambda: tuned)
    monkeypatch.setattr(sharing, "share", None)
    monkeypatch.setattr(thread_pool, "PIECE", 1024)
    monkeypatch.setattr(thread_pool, "over_pieces", listening)
    monkeypatch.setattr(evaluate, "_reduce", listening_on_c)
    monkeypatch.setattr(fast_path, "quick_sums", None)  # which takes one thread for arrays as small as these
    if library is not None:  # calls that name threads go to the ufunc below these sizes
        library.set_fast_call_sizes(dict.fromkeys(thresholds.ELEMENTS, 0))
    yield shared
    if library is not None:
        library.set_fast_call_sizes(thresholds.Thresholds().fast_call_sizes())


@EACH_PROFILE
@EACH_OP
def test_any_view_is_its_elements(op: Op, backend: str, profile: settings) -> None:
    for_all(profile, lambda data: check_views(data, op, availability.ufunc_of(backend, op.name), backend), op.name, backend)


@EACH_PROFILE
@EACH_UNARY
def test_any_view_in_pieces_is_its_elements(op: Op, backend: str, profile: settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long call: the same elements, in the memory layout that NumPy gives the whole; a call that is not cut is NumPy's own."""
    ufunc, computed, cut = availability.ufunc_of(backend, op.name), pieces.computed, []

    def listening(*call: Any) -> Array | None:
        cut.append(computed(*call))
        return cut[-1]

    def in_pieces(x: Array, out: Array | None = None, **options: Any) -> Array:
        result: Array = call._on_one_thread(op.name, ufunc, x, out, options)
        return result

    monkeypatch.setattr(pieces, "LONG", 2)
    monkeypatch.setattr(pieces, "computed", listening)

    def check(data: st.DataObject) -> None:
        monkeypatch.setattr(pieces, "PIECE", data.draw(st.sampled_from([1, 3, 10, 100]), label="piece"))
        check_views(data, op, in_pieces, backend)
        _, _, (x,) = draw_operands(data, op, backend, data.draw(shapes()))
        order = {"order": data.draw(st.sampled_from("KACF"), label="order")}
        whole, result = ufunc(x, **order), in_pieces(x, **order)
        assert_same_bits(result, whole, label=op.name)
        assert [n for n in zip(result.strides, result.shape, strict=True) if n[1] > 1] == [
            n for n in zip(whole.strides, whole.shape, strict=True) if n[1] > 1
        ] or not x.size

    for_all(profile, check, op.name, backend)
    assert sum(result is not None for result in cut) > len(cut) / 4


@EACH_PROFILE
@EACH_OP
def test_any_chunking_is_its_elements(op: Op, backend: str, profile: settings) -> None:
    """Cut along any axis at any places, each chunk into its part of one output."""

    def check(data: st.DataObject) -> None:
        shape = data.draw(shapes().filter(len))
        _, _, views = draw_operands(data, op, backend, shape)
        whole = np.broadcast_arrays(*views)
        want = one_at_a_time(op.name, tuple(views))
        axis = data.draw(st.integers(0, len(shape) - 1), label="axis")
        cuts = sorted(data.draw(st.lists(st.integers(0, shape[axis]), max_size=6), label="cuts"))
        got = np.empty(shape, want.dtype)
        for start, stop in zip([0, *cuts], [*cuts, shape[axis]], strict=True):
            at = (*[slice(None)] * axis, slice(start, stop))
            availability.ufunc_of(backend, op.name)(*(a[at] for a in whole), out=got[at])
        assert_same_bits(got, want, whole, op.name)

    for_all(profile, check, op.name, backend)


@EACH_PROFILE
@EACH_UNARY
def test_any_number_of_threads_is_its_elements(op: Op, backend: str, profile: settings, eager_threads: list[int], monkeypatch: Any) -> None:
    """The functions with their choices: arrays that threads can share and arrays that they cannot, into a new or a given output."""

    def check(data: st.DataObject) -> None:
        monkeypatch.setattr(thread_pool, "PIECE", data.draw(st.sampled_from([16, 64, 1024]), label="piece"))
        kind = data.draw(st.sampled_from(["C", "F", "any"]), label="layout")
        if kind == "any":
            _, _, (x,) = draw_operands(data, op, backend, data.draw(shapes()))
        else:
            dtype, shape = dtype_of(data.draw(st.sampled_from(FLOATS[:-1]))), data.draw(st.tuples(LONG, st.integers(1, 3)))
            x = np.asarray(lively(dtype, shape[0] * shape[1], np.random.default_rng(data.draw(SEEDS))).reshape(shape), order=kind)
        want = one_at_a_time(op.name, (x,))
        options: dict[str, Any] = {"backend": backend, "threads": data.draw(st.sampled_from([2, 3, 5, 9, 1]), label="threads")}
        out = data.draw(st.sampled_from(["new", "given", "x"]), label="out")
        if out == "given":
            options["out"] = np.zeros_like(x, dtype=want.dtype)
        elif out == "x" and x.dtype == want.dtype and x.flags.writeable:
            options["out"] = x
        got = getattr(fs, op.name)(x, **options)
        assert got is options.get("out", got)
        assert_same_bits(got, want, label=f"{op.name}, {options['threads']} threads")

    for_all(profile, check, op.name, backend)
    assert eager_threads, "the threads were not used"


def draw_loss(data: st.DataObject) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays of one length for a mean loss, of a few blocks, and the options that are numbers."""
    n = data.draw(st.integers(0, 7), label="blocks") * 1024 + data.draw(st.sampled_from([0, 1, 2, 3, 511, 700, 1023]), label="rest")
    random = np.random.default_rng(data.draw(SEEDS, label="seed"))
    dtype = dtype_of(data.draw(st.sampled_from(FLOATS[:-1]), label="dtype"))
    scale = data.draw(st.sampled_from([0.01, 3.0, 60.0]), label="scale")
    t = np.where(random.random(n) < 0.5, random.random(n), random.integers(0, 2, n)).astype(dtype)
    arrays = {"logits": (random.standard_t(2, n) * scale).astype(dtype), "targets": t}
    if data.draw(st.booleans(), label="hard"):
        arrays["targets"] = t > 0.5
    if data.draw(st.booleans(), label="weight"):
        arrays["weight"] = random.lognormal(0, 2, n).astype(np.float16 if dtype.itemsize == 2 else dtype)
    if data.draw(st.booleans(), label="mask"):
        arrays["mask"] = random.random(n) < 0.8
    options: dict[str, Any] = {"label_smoothing": data.draw(st.sampled_from([0.0, 0.1]), label="smoothing")}
    if data.draw(st.booleans(), label="pos_weight"):
        options["pos_weight"] = 2.5
    return arrays, options


def part_of(arrays: dict[str, Array], piece: slice) -> dict[str, Array]:
    return {name: array[piece] for name, array in arrays.items()}


@EACH_PROFILE
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a mean of nothing is NaN with a warning, which test_losses.py looks at
def test_losses_of_any_threads_and_chunks(backend: str, profile: settings, eager_threads: list[int]) -> None:
    """Sums over any chunks, added in any order on any threads, and the gradients of these chunks."""
    if backend == "numba" and profile is QUICK:
        pytest.skip("Numba compiles a kernel for each kind of loss: the thorough profile looks at it")

    def check(data: st.DataObject) -> None:
        arrays, options = draw_loss(data)
        n = arrays["logits"].size
        reduction = data.draw(st.sampled_from(["sum", "mean", "weighted_mean"]))
        plain = {**options, "backend": availability.host_backend(), "threads": 1}
        shared = {**options, "backend": backend, "threads": data.draw(st.integers(2, 9), label="threads")}
        value, grad = fs.bce_with_logits_value_and_grad(**arrays, reduction="sum", **plain)
        for got, want in zip(fs.bce_with_logits_value_and_grad(**arrays, reduction="sum", **shared), (value, grad), strict=True):
            assert_same_bits(got, want, label="threads")
        cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=5), label="cuts"))
        pieces = [slice(a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
        sums = [fs.BCEAccumulator() for _ in range(data.draw(st.integers(1, 3), label="accumulators"))]
        for i, piece in enumerate(data.draw(st.permutations(pieces), label="order")):
            sums[i % len(sums)].update(**part_of(arrays, piece), **shared)
            _, part = fs.bce_with_logits_value_and_grad(**part_of(arrays, piece), reduction="sum", **shared)
            assert_same_bits(part, grad[piece], label="gradient of a chunk")
        for other in sums[1:]:
            sums[0].merge(other)
        assert_same_bits(sums[0].result(reduction), fs.bce_with_logits(**arrays, reduction=reduction, **plain), label=reduction)

    for_all(profile, check, backend)
    assert eager_threads, "the threads were not used"
