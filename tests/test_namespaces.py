"""Arrays of the array API standard: the same namespace, device and dtype come back, with the bits that NumPy's arrays have."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig.arrays import arraylikes, devices
from fastsig.ops import OPS

EACH = pytest.mark.parametrize("name", [op.name for op in OPS if op.nin == 1])
X = np.random.default_rng(3).uniform(0.01, 0.99, (6, 4))


NAMESPACE = os.environ.get("TESTED_NAMESPACE", "array_api_strict")
"""JAX starts threads, after which no process should fork: it is tested in a process of its own."""
of_jax = pytest.mark.skipif(NAMESPACE != "jax.numpy", reason="this is about JAX, in a process of its own")
of_strict = pytest.mark.skipif(NAMESPACE != "array_api_strict", reason="this is about array_api_strict")


def test_all_of_this_with_jax(pytestconfig: pytest.Config) -> None:
    if NAMESPACE == "jax.numpy":
        pytest.skip("this is it")
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    hidden = [f"--hide={name}" for name in pytestconfig.getoption("--hide")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *hidden, __file__],
        env={**os.environ, "TESTED_NAMESPACE": "jax.numpy", "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout


@pytest.fixture
def xp() -> Any:
    return pytest.importorskip(NAMESPACE)


@pytest.fixture
def float64() -> Any:
    """JAX has float64 where it is asked for."""
    if NAMESPACE != "jax.numpy":
        yield
        return
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def of_numpy(xp: Any, x: Any) -> Any:
    return xp.asarray(x)


def check(got: Any, like: Any, want: Array) -> None:
    assert type(got) is type(like)
    assert got.device == like.device
    assert_same_bits(np.asarray(got), np.asarray(want))


@pytest.mark.usefixtures("float64")
@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_one_input(name: str, dtype: str, backend: str, xp: Any) -> None:
    function = getattr(fs, name)
    for values in (X.astype(dtype), X[0].astype(dtype), X[0, 0].astype(dtype), np.zeros((0, 3), dtype), X.astype(dtype).T):
        x, want = of_numpy(xp, values), function(values)
        for options in ({}, {"backend": backend}, {"threads": 2}):
            check(function(x, **options), x, want)
    check(function(x, dtype=np.float64), x, function(values, dtype=np.float64))


@pytest.mark.usefixtures("float64")
@EACH
def test_integers_become_the_namespaces_floats(name: str, xp: Any) -> None:
    for values in (np.array([0, 1, 1], np.int8), np.array([0, 1]), np.array([True, False]), np.array([1], np.uint8)):
        x = of_numpy(xp, values)
        check(getattr(fs, name)(x), x, getattr(fs, name)(values.astype(float)))


@of_jax
def test_halves_and_single_precision_of_jax() -> None:
    """Its default type of floats is float32 where nobody asked for others."""
    jnp = importlib.import_module("jax.numpy")
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        x = jnp.asarray(X, dtype)
        check(fs.sigmoid(x), x, fs.sigmoid(np.asarray(x)))
        check(fs.bce_with_logits(x, 1), x, fs.bce_with_logits(np.asarray(x), 1))
    for x in (jnp.asarray([0, 1, 1]), jnp.asarray([True, False])):
        check(fs.sigmoid(x), x, fs.sigmoid(np.asarray(x, np.float32)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
@pytest.mark.parametrize("general", [False, True])
def test_losses(reduction: str, general: bool, xp: Any) -> None:
    from loss_front import taken

    t, w = (X > 0.5).astype(float), 1 + X
    x, options = of_numpy(xp, X), {"weight": of_numpy(xp, w), "mask": of_numpy(xp, X < 0.9), "reduction": reduction}
    plain = {"weight": w, "mask": X < 0.9, "reduction": reduction}
    with taken(only_general=general):
        for targets in (of_numpy(xp, t), t, of_numpy(xp, t.astype(bool)), of_numpy(xp, t.astype(int))):
            check(fs.bce_with_logits(x, targets, **options), x, fs.bce_with_logits(X, t, **plain))
            got, want = (fs.bce_with_logits_value_and_grad(a, b, **c) for a, b, c in ((x, targets, options), (X, t, plain)))
            for part, right in zip(got, want, strict=True):
                check(part, x, right)
        check(fs.bce(x, t, **options), x, fs.bce(X, t, **plain))
        for part, right in zip(
            fs.sigmoid_focal_loss_value_and_grad(x, t, **options), fs.sigmoid_focal_loss_value_and_grad(X, t, **plain), strict=True
        ):
            check(part, x, right)
        for part, right in zip(fs.bce_with_logits_grad_hess(x, t), fs.bce_with_logits_grad_hess(X, t), strict=True):
            check(part, x, right)
        assert type(fs.bce_with_logits(X, of_numpy(xp, t))) is np.float64, "the logits say what comes back"


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("general", [False, True])
def test_integer_logits(general: bool, xp: Any) -> None:
    from loss_front import taken

    for values in (np.array([1, -2, 3], np.int8), np.array([1, -2, 3]), np.array([True, False, True])):
        x = of_numpy(xp, values)
        with taken(only_general=general):
            for reduction in ("none", "mean"):
                want = fs.bce_with_logits(values.astype(float), 1, reduction=reduction)
                check(fs.bce_with_logits(x, 1, reduction=reduction), x, want)


@pytest.mark.usefixtures("float64")
def test_an_accumulator_and_outputs_are_numpys(xp: Any) -> None:
    x = of_numpy(xp, X)
    assert fs.BCEAccumulator().update(x, 1).result() == fs.bce_with_logits(X, 1)
    out = np.empty_like(X)
    assert fs.sigmoid(x, out=out) is out
    assert_same_bits(out, fs.sigmoid(X))
    out = np.zeros_like(X)
    fs.sigmoid(x, out=out, where=X > 0.5)
    assert_same_bits(out, np.where(X > 0.5, fs.sigmoid(X), 0.0))
    loss, grad = fs.bce_with_logits_value_and_grad(x, 1, grad_out=out)
    assert grad is out
    check(loss, x, fs.bce_with_logits(X, 1))
    total = np.empty(())
    assert fs.bce_with_logits(x, 1, out=total) is total
    with pytest.raises(TypeError, match="out is .*; give a NumPy array"):
        fs.sigmoid(X, out=x)
    with pytest.raises(TypeError, match="grad_out is .*; give a NumPy array"):
        fs.bce_with_logits_value_and_grad(x, 1, grad_out=x)


@pytest.mark.usefixtures("float64")
def test_complex_numbers_and_options_are_refused_as_of_numpy(xp: Any) -> None:
    with pytest.raises(TypeError, match="x has dtype complex128"):
        fs.sigmoid(of_numpy(xp, X.astype(complex)))
    with pytest.raises(TypeError, match="logits .* has dtype complex128"):
        fs.bce_with_logits(of_numpy(xp, X.astype(complex)), 1)
    with pytest.raises(RuntimeError, match="cuda"):
        fs.sigmoid(of_numpy(xp, X), backend="cuda")
    with pytest.raises(ValueError, match="threads"):
        fs.sigmoid(of_numpy(xp, X), threads=0)


@of_strict
def test_another_device_of_the_standard_is_not_copied_from_in_silence() -> None:
    xp = pytest.importorskip("array_api_strict")
    x = xp.asarray(X, device=xp.Device("device1"))
    with pytest.raises(TypeError, match=r"^sigmoid: x .*device1.*\.to_device"):
        fs.sigmoid(x)
    with pytest.raises(TypeError, match=r"^bce_with_logits: logits .*device1.*\.to_device"):
        fs.bce_with_logits(x, 1)


@of_jax
def test_what_jax_traces_is_refused_in_words() -> None:
    jax = importlib.import_module("jax")
    for transformed in (jax.jit(fs.sigmoid), jax.grad(lambda x: fs.sigmoid(x).sum()), jax.vmap(fs.sigmoid)):
        with pytest.raises(TypeError, match=r"^sigmoid: x .*traced \(jax\.jit.*outside of that, or within jax\.pure_callback"):
            transformed(jax.numpy.ones(3))
    with pytest.raises(TypeError, match=r"^bce_with_logits: logits .*traced"):
        jax.jit(lambda x: fs.bce_with_logits(x, 1))(jax.numpy.ones(3))


@of_jax
def test_what_the_message_about_jax_advises_works() -> None:
    jax = importlib.import_module("jax")
    x = jax.numpy.asarray(X[0], jax.numpy.float32)
    called = jax.jit(lambda x: jax.pure_callback(lambda x: np.asarray(fs.sigmoid(x)), jax.ShapeDtypeStruct(x.shape, x.dtype), x))
    check(called(x), x, fs.sigmoid(np.asarray(x)))


@of_jax
def test_jax_arrays_on_several_devices_stay_there(pytestconfig: pytest.Config) -> None:
    from processes import printed

    code = """
import os; os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax, numpy as np, fastsig as fs
there = jax.sharding.NamedSharding(jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,)), jax.sharding.PartitionSpec("d"))
for place in (jax.devices()[1], there):
    x = jax.device_put(np.arange(4, dtype=np.float32), place)
    y = fs.sigmoid(x)
    assert y.sharding == x.sharding, (y.sharding, x.sharding)
    assert (np.asarray(y) == fs.sigmoid(np.arange(4, dtype=np.float32))).all()
print("same")
"""
    assert printed(code, pytestconfig) == "same"


class Exporter:
    """A namespace of a library that NumPy can read by DLPack only."""

    device = "cpu"

    def __init__(self, array: Array, kind: int = 1) -> None:
        self.array, self.kind = array, kind

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self

    def asarray(self, obj: Any, device: Any = None) -> Exporter:
        return Exporter(np.asarray(obj))

    def __dlpack__(self, **options: Any) -> Any:
        if self.kind != 1:
            raise BufferError("it is not in host memory")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0


def test_what_has_dlpack_only() -> None:
    got = fs.sigmoid(Exporter(X))
    assert isinstance(got, Exporter)
    assert_same_bits(got.array, fs.sigmoid(X))
    mean = fs.bce_with_logits(Exporter(X), 1)
    assert isinstance(mean, Exporter)
    assert mean.array == fs.bce_with_logits(X, 1)
    with pytest.raises(TypeError, match="it is not in host memory; give a copy in host memory"):
        fs.sigmoid(Exporter(X, kind=4))


@pytest.mark.usefixtures("float64")
def test_memory_is_shared_on_the_way_in(xp: Any) -> None:
    x = of_numpy(xp, X)
    read = arraylikes.values(x).array
    assert np.shares_memory(read, np.asarray(x))


def test_whose_ufuncs_they_answer_stays_theirs() -> None:
    """NumPy's arrays have the standard's methods too, and so have others that know ufuncs."""
    assert arraylikes.library_for(np.float32(1)) is None
    da = pytest.importorskip("dask.array")
    assert arraylikes.library_for(da.ones(3)) is arraylikes.OTHERS
    assert devices.device_of(da.ones(3)) == "cpu"
