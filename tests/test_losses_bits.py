"""The same bits from every backend, instruction set, number of threads, stride and chunking; sums in bounded memory."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from loss_front import generally

import fastsig as fs
from fastsig.kernels import plan
from fastsig.losses import exact_sum as exact
from fastsig.losses import fast_path
from fastsig.losses.arguments import focal, operands
from fastsig.losses.evaluate import run

needs_c = pytest.mark.skipif(fs.backends()["c"] != "available", reason="no C library")
needs_numba = pytest.mark.skipif(fs.backends()["numba"] != "available", reason="no Numba")
N, C = 2741, 3


def data(dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(N, C)) * 8).astype(dtype)
    x.flat[:4] = [np.inf, -np.inf, 0.0, -0.0]
    t = np.where(rng.random((N, C)) < 0.5, rng.random((N, C)) < 0.5, rng.random((N, C))).astype(dtype)
    t.flat[:2] = [1, 0]
    options = {
        "weight": rng.random((N, 1)).astype(dtype),
        "pos_weight": rng.uniform(0.5, 4, C),
        "mask": rng.random((N, C)) < 0.9,
        "label_smoothing": 0.1,
    }
    options["mask"].flat[:2] = False
    return x, t, options


def raw(*results):
    return [np.asarray(r).tobytes() for r in results]


CALLS = {
    "value": lambda x, t, o, **how: raw(fs.bce_with_logits(x, t, reduction="sum", **how)),
    "value_and_grad": lambda x, t, o, **how: raw(*fs.bce_with_logits_value_and_grad(x, t, **how)),
    "with_options": lambda x, t, o, **how: raw(*fs.bce_with_logits_value_and_grad(x, t, reduction="weighted_mean", **o, **how)),
    "elements": lambda x, t, o, **how: raw(fs.bce_with_logits(x, t, reduction="none", **o, **how)),
    "grad_hess": lambda x, t, o, **how: raw(*fs.bce_with_logits_grad_hess(x, t, **o, **how)),
    "probabilities": lambda x, t, o, **how: raw(fs.bce(fs.sigmoid(x), t, weight=o["weight"], mask=o["mask"], **how)),
    "focal_whole": lambda x, t, o, **how: raw(*fs.sigmoid_focal_loss_value_and_grad(x, t, weight=o["weight"], **how)),
    "focal": lambda x, t, o, **how: raw(*fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=2.5, mask=o["mask"], **how)),
    "focal_alphas": lambda x, t, o, **how: raw(fs.sigmoid_focal_loss(x, t, alpha=o["pos_weight"] / 4, weight=o["weight"], **how)),
    "focal_grad_hess_whole": lambda x, t, o, **how: raw(*fs.sigmoid_focal_loss_grad_hess(x, t, weight=o["weight"] * 1e3, **how)),
    "focal_grad_hess": lambda x, t, o, **how: raw(
        *fs.sigmoid_focal_loss_grad_hess(x, t, alpha=o["pos_weight"] / 4, gamma=2.5, mask=o["mask"], **how)
    ),
}


@needs_c
@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("call", CALLS)
def test_c_and_numba_give_the_same_bits(call, dtype):
    x, t, options = data(dtype)
    assert CALLS[call](x, t, options, backend="c") == CALLS[call](x, t, options, backend="numba")


@needs_c
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("call", CALLS)
def test_instruction_sets_give_the_same_bits(call, dtype):
    from fastsig.kernels.c import library as c

    x, t, options = data(dtype)
    expected = CALLS[call](x, t, options, backend="c")
    best = c.isa()
    try:
        for isa in c.isas():
            c.set_isa(isa)
            assert CALLS[call](x, t, options, backend="c") == expected, isa
    finally:
        c.set_isa(best)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("call", CALLS)
def test_threads_and_strides_leave_no_trace(call, dtype):
    x, t, options = data(dtype)
    x, t = np.tile(x, (140, 1)), np.tile(t, (140, 1))
    options |= {"weight": np.tile(options["weight"], (140, 1)), "mask": np.tile(options["mask"], (140, 1))}
    expected = CALLS[call](x, t, options, threads=1)
    for threads in (2, 3, 8):
        assert CALLS[call](x, t, options, threads=threads) == expected
    wide = np.zeros((*x.shape, 2), dtype)
    wide[..., 0] = x
    assert CALLS[call](wide[..., 0], np.asfortranarray(t), options, threads=2) == expected
    assert CALLS[call](x[::-1][::-1], t.astype(np.float64), options, threads=1) == expected


@needs_c
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 15, 1000, 1024, 1025, 70_001, 400_001])
def test_the_short_way_gives_the_bits_of_the_general_one(dtype, n):
    if fast_path.quick_loss is None:
        pytest.skip("FASTSIG_BACKEND is set")
    fs.set_num_threads(3)  # so that the largest two are shared, by two and by three
    rng = np.random.default_rng(n)
    x, t = (rng.normal(size=n) * rng.choice([0.1, 5, 40])).astype(dtype), rng.random(n).astype(dtype)
    assert fast_path.quick(plan.LOGITS, "mean", 4, True, (x, t, None, None, None), None, None) is not NotImplemented
    for reduction in ("sum", "mean"):
        general = raw(*generally(fs.bce_with_logits_value_and_grad, x, t, reduction=reduction))
        assert raw(*fs.bce_with_logits_value_and_grad(x, t, reduction=reduction)) == general
        assert raw(fs.bce_with_logits(x, t, reduction=reduction)) == general[:1]
    assert raw(*fs.bce_with_logits_grad_hess(x, t)) == raw(*generally(fs.bce_with_logits_grad_hess, x, t))


@pytest.fixture
def short_ways(monkeypatch):
    """What the short way answered in each call."""
    if fast_path.quick_loss is None:
        pytest.skip("no C library, or FASTSIG_BACKEND is set")
    answers = []

    def recording(*arguments):
        answers.append(compute(*arguments))
        return answers[-1]

    compute = fast_path.quick_loss
    monkeypatch.setattr(fast_path, "quick_loss", recording)
    return answers


LAYOUTS = {
    "as it is": lambda a: a,
    "Fortran": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", [name for name in CALLS if name != "with_options"])
def test_the_short_way_gives_the_bits_of_the_general_one_with_options(call, layout, dtype, short_ways):
    x, t, options = data(dtype)
    x, t, options["mask"] = (LAYOUTS[layout](a) for a in (x / 4, t, options["mask"]))  # no probability rounds to 1, so no loss is inf
    got = CALLS[call](x, t, options)
    assert all(answer is not NotImplemented for answer in short_ways)
    assert len(short_ways) == 1
    assert got == generally(CALLS[call], x, t, options)


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_the_short_way_takes_targets_and_weights_of_every_type(kind, short_ways):
    x, t = np.linspace(-5, 5, 2000, dtype=np.float32), np.arange(2000) % 2
    for pos_weight in (2, 2.5, np.float32(3), np.array(4)):
        options = {"weight": t.astype(kind), "pos_weight": pos_weight}
        got = raw(*fs.bce_with_logits_value_and_grad(x, t.astype(kind), **options))
        assert short_ways.pop() is not NotImplemented
        assert got == raw(*generally(fs.bce_with_logits_value_and_grad, x, t.astype(kind), **options))


@pytest.mark.parametrize("function", [fs.bce_with_logits_value_and_grad, fs.sigmoid_focal_loss_value_and_grad])
def test_the_short_way_writes_into_the_callers_gradient(function, short_ways):
    x, t, options = data(np.float32)
    grad = np.full_like(x, 7)
    result = function(x, t, weight=options["weight"], mask=options["mask"], grad_out=grad)
    assert short_ways.pop() is result
    assert result[1] is grad
    assert raw(*result) == raw(*generally(function, x, t, weight=options["weight"], mask=options["mask"]))
    both = np.empty_like(x), np.empty_like(x)
    result = fs.bce_with_logits_grad_hess(x, t, pos_weight=options["pos_weight"], grad_out=both[0], hess_out=both[1])
    assert short_ways.pop() is not NotImplemented
    assert (result[0] is both[0], result[1] is both[1]) == (True, True)
    assert raw(*result) == raw(*generally(fs.bce_with_logits_grad_hess, x, t, pos_weight=options["pos_weight"]))


def test_the_short_way_leaves_the_rest_to_the_general_one(short_ways):
    """What it could compute wrongly, write too early or explain badly."""
    x, t, _ = data(np.float32)
    memory, mask = np.zeros((2 * N, C), np.float32), np.zeros((N, C), bool)
    overlapping = {"grad_out": memory[1 : N + 1]}
    refused = [
        ((memory[:N], t), overlapping, ValueError), ((x, t + 2), {}, ValueError), ((x, t[:5]), {}, ValueError),
        ((x, t), {"weight": -1.0}, ValueError), ((x, t), {"weight": np.full((1, N, C), 1.0)}, ValueError),
        ((x, t), {"mask": mask.astype(int)}, TypeError), ((x, t), {"grad_out": t.copy()[::-1]}, None), ((x, t), {"threads": 0}, ValueError),
        ((x, t), {"label_smoothing": 1}, ValueError),
        ((x, t), {"label_smoothing": 10**400}, ValueError), ((x, t), {"weight": 10**400}, TypeError),
        ((x, t), {"mask": mask}, RuntimeWarning),
        ((x[:0], t[:0]), {}, RuntimeWarning), ((x, t), {"reduction": "weighted_mean", "weight": 0.0}, RuntimeWarning),
    ]  # fmt: skip
    for arguments, options, error in refused:
        short_ways.clear()
        if error is None:
            fs.bce_with_logits_value_and_grad(*arguments, **options)
        else:
            with pytest.warns(error) if error is RuntimeWarning else pytest.raises(error):
                fs.bce_with_logits_value_and_grad(*arguments, **options)
        assert all(answer is NotImplemented for answer in short_ways), (options, error)
    assert not memory.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [1000, 5 * 1024, 100_001])
def test_chunks_of_any_sizes_give_the_bits_of_the_whole(dtype, chunk):
    rng = np.random.default_rng(0)
    n = 200_001
    x, t, w, p = (rng.normal(size=n) * 9).astype(dtype), rng.random(n).astype(dtype), rng.random(n).astype(dtype), np.float32(2.5)
    mask = rng.random(n) < 0.7
    accumulators = [fs.BCEAccumulator() for _ in range(3)]
    starts = rng.permutation(np.arange(0, n, chunk))
    for i, start in enumerate(starts):
        s = slice(start, start + chunk)
        accumulators[i % 3].update(x[s], t[s], weight=w[s], pos_weight=p, mask=mask[s], label_smoothing=0.1)
    first = pickle.loads(pickle.dumps(accumulators[0]))
    merged = first.merge(accumulators[2]).merge(accumulators[1])
    assert merged.count == mask.sum()
    for reduction in ("sum", "mean", "weighted_mean"):
        whole = fs.bce_with_logits(x, t, weight=w, pos_weight=p, mask=mask, label_smoothing=0.1, reduction=reduction)
        assert raw(merged.result(reduction)) == raw(whole)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1"])
@pytest.mark.parametrize("shape", [(15, 70), (16, 2), (33, 7), (1000, 9), (129, 130), (131, 2048), (17, 2049), (40, 5, 13), (4001, 10)])
def test_operands_in_any_layout_give_the_bits_of_their_copies_in_c_order(shape, dtype):
    def value(*operands, **how):
        return raw(fs.bce_with_logits(*operands, **how))

    def value_and_grad(*operands, **how):
        return raw(*fs.bce_with_logits_value_and_grad(*operands, **how))

    rng = np.random.default_rng(5)
    x, t = (rng.normal(size=shape) * 8).astype(dtype), (rng.random(shape) < 0.5).astype(dtype)
    weight = np.asfortranarray(rng.random(shape).astype("f4"))
    for layout in (np.asfortranarray, lambda a: np.asfortranarray(a[::-1])[::-1], lambda a: np.asfortranarray(a[:, ::-1])[:, ::-1]):
        for call in (value, value_and_grad):
            for reduction in ("mean", "sum"):
                for options in ({}, {"weight": weight}):
                    expected = call(x, t, reduction=reduction, threads=1, **options)
                    for xs, ts in ((layout(x), layout(t)), (layout(x), t), (x, layout(t))):
                        for threads in (1, 2):
                            assert call(xs, ts, reduction=reduction, threads=threads, **options) == expected


def test_a_weight_that_repeats_within_the_columns_of_another_operand(backend):
    """Its rows are not evenly apart, so no matrix of these columns is walked."""
    rng = np.random.default_rng(8)
    x, t = rng.normal(size=(6, 50, 20)), rng.random((6, 50, 20))
    for shape in ((1, 50, 1), (50, 20), (6, 1, 20), (6, 1, 1), (20,)):
        weight = rng.random(shape)
        want = fs.bce_with_logits(x, t, weight=np.broadcast_to(weight, x.shape).copy(), backend=backend)
        assert fs.bce_with_logits(x, in_order(t, (2, 0, 1)), weight=weight, backend=backend) == want, shape


def in_order(a, axes):
    """A copy of the array that lies in memory with its axes in this order."""
    return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))


MATRICES = [((300, 300), (1, 0)), ((130, 77), (1, 0)), ((64, 3000), (1, 0)), ((2, 9), (1, 0))]
BATCHES = [((4, 40, 50), (2, 1, 0)), ((3, 64, 5, 7), (0, 2, 3, 1))]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "axes"), MATRICES + BATCHES)
def test_every_option_and_output_in_any_layout_gives_the_bits_of_c_order(shape, axes, dtype, backend):
    """Masks, integers, weights that broadcast, gradients into arrays of either layout."""
    rng = np.random.default_rng(6)
    x, t = (rng.normal(size=shape) * 5).astype(dtype), rng.random(shape) < 0.5
    soft, mask, row = rng.random(shape).astype(dtype), rng.random(shape) < 0.7, rng.random(shape[-1]).astype(dtype)
    call = fs.bce_with_logits_value_and_grad
    for targets, options in (
        (t, {}),
        (soft, {"weight": row, "reduction": "weighted_mean"}),
        (t.astype("i8"), {"pos_weight": row, "label_smoothing": 0.1, "reduction": "sum"}),
        (soft, {"mask": mask}),
        (soft, {"reduction": "none"}),
    ):
        loss, grad = call(x, targets, threads=1, backend=backend, **options)
        laid = {key: in_order(value, axes) if key == "mask" else value for key, value in options.items()}
        for logits, ys in ((in_order(x, axes), in_order(targets, axes)), (x, in_order(targets, axes)), (in_order(x, axes), targets)):
            for threads in (1, 2):
                own = np.empty(shape, dtype), in_order(np.empty(shape, dtype), axes)
                for grad_out in (None, *own):
                    again, found = call(logits, ys, threads=threads, backend=backend, grad_out=grad_out, **laid)
                    assert raw(again, found) == raw(loss, grad)
                    assert found.strides == (logits if grad_out is None else grad_out).strides


def test_an_accumulator_keeps_what_it_had_when_an_update_is_refused():
    total = fs.BCEAccumulator().update([1.0, 2.0], [0, 1])
    before = total.result("sum")
    with pytest.raises(ValueError, match="targets"):
        total.update([1.0], [2.0])
    assert (total.result("sum"), total.count) == (before, 2)
    with pytest.raises(ValueError, match="'none'"):
        total.result("none")
    with pytest.raises(TypeError, match="other"):
        total.merge(3)
    with pytest.warns(RuntimeWarning, match="no elements"):
        assert np.isnan(fs.BCEAccumulator().result())


def test_an_exact_quotient_is_rounded_once():
    half = exact.Total(units=(1 << exact.UNIT_LOG2) + (1 << (exact.UNIT_LOG2 - 24)))  # 1 + 2^-24, half way between two float32
    assert half.over(1, np.dtype(np.float32)) == 1
    above = exact.Total(units=half.units + 1)
    assert above.over(1, np.dtype(np.float32)) == np.nextafter(np.float32(1), np.float32(2))
    assert exact.Total(units=1).over(1, np.dtype(np.float64)) == 5e-324
    assert exact.Total(units=1 << 2200).over(1, np.dtype(np.float64)) == np.inf


def test_concurrent_calls_from_many_threads():
    x, t, options = data(np.float32)
    expected = CALLS["with_options"](x, t, options)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: CALLS["with_options"](x, t, options, threads=2), range(64)))
    assert all(r == expected for r in results)


def test_no_loss_array_and_no_expanded_weights_are_made():
    n = 1 << 21
    x, t = np.zeros((n // 4, 4), np.float32), np.zeros((n // 4, 4), np.uint8)
    mask = np.ones((n // 4, 1), bool)
    fs.bce_with_logits(x[:9], t[:9], weight=np.ones(4), mask=mask[:9])
    tracemalloc.start()
    fs.bce_with_logits(x, t, weight=np.ones(4), pos_weight=2.0, mask=mask, reduction="weighted_mean")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


MEAN_OF_MANY = """
import numpy as np, resource, fastsig as fs
x = np.zeros(100_000_000, np.float32)
x[::512] = 1.0  # every page is in memory before the pass
t = np.zeros(100_000_000, bool)
t[::2048] = True
fs.bce_with_logits(x[:2000], t[:2000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fs.bce_with_logits(x, t, weight=np.float32(2), pos_weight=3.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_a_mean_of_1e8_elements_needs_less_than_10_mib_more():
    assert resource  # the measurement in the other process needs it too
    run = subprocess.run([sys.executable, "-c", MEAN_OF_MANY], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 10 * 1024


@pytest.mark.slow
def test_a_mean_of_more_elements_than_32_bits_count(need_c):
    size = 3 << 31
    x, t = np.broadcast_to(np.float32(0.3), size), np.broadcast_to(np.float32(0.1), size)
    assert fs.bce_with_logits(x, t) == fs.bce_with_logits(x[:1], t[:1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_focal_gradient_needs_neither_the_losses_nor_their_sum(backend, dtype):
    x = np.linspace(-9, 9, 2400).astype(dtype)
    t = np.asarray(x > 1, dtype)
    expected = fs.sigmoid_focal_loss_value_and_grad(x, t, reduction="sum", backend=backend)[1]
    grad = np.full_like(x, np.nan)
    ops = operands("sigmoid_focal_loss_value_and_grad", plan.FOCAL, x, t, None, None, None)
    run(ops, plan.FOCAL, focal(ops, 0.25, 2.0), (None, grad, None), checks=0, summed=False, backend=backend, threads=1)
    assert grad.tobytes() == expected.tobytes()
