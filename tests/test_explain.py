"""``fs.explain`` says who computes a call and on how many threads: what it said is compared with who did, for every function."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastsig as fs
from fastsig.dispatch import sharing
from fastsig.dispatch.thresholds import LOSSES, UNARY
from fastsig.elementwise import call
from fastsig.losses import evaluate, fast_path
from fastsig.system import thread_pool

FUNCTIONS = sorted(UNARY) + sorted(LOSSES - {"score"})
UFUNCS = ["bce_with_logits_grad", "bce_grad"]
SMALL, LARGE, HUGE = 100, 1 << 17, 1 << 21


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The backend and the threads of what was computed; nothing for a call that the C library's fast call took alone."""
    seen: list[tuple[str, int]] = []

    def backend_of(ufunc: Any) -> str:
        from fastsig.kernels.c.status import library

        return "c" if library is not None and ufunc in library.UFUNCS.values() else "numba"

    def one(name: str, ufunc: Any, *rest: Any) -> Any:
        seen.append((backend_of(ufunc), 1))
        return on_one(name, ufunc, *rest)

    def shared(ufunc: Any, x: Any, out: Any, threads: int) -> Any:
        seen.append((backend_of(ufunc), threads))
        return unary(ufunc, x, out, threads)

    def listened(front: Any) -> Any:
        def asked(*arguments: Any) -> Any:
            result = front(*arguments)
            if result is not NotImplemented:
                seen.append(("c", max(arguments[3], 1)))
            return result

        return None if front is None else asked

    def passed(backend: str, words: Any, numbers: Any, size: int, threads: int, alive: Any) -> Any:
        seen.append((backend, threads))
        return reduce(backend, words, numbers, size, threads, alive)

    on_one, unary, reduce = call._on_one_thread, sharing.unary, evaluate._reduce
    monkeypatch.setattr(call, "_on_one_thread", one)
    monkeypatch.setattr(sharing, "unary", shared)
    for front in ("quick_loss", "quick_sums"):
        monkeypatch.setattr(fast_path, front, listened(getattr(fast_path, front)))
    monkeypatch.setattr(evaluate, "_reduce", passed)
    return seen


def done(name: str, x: Any, t: Any, options: dict[str, Any]) -> None:
    if name in UNARY:
        getattr(fs, name)(x, **options)
    elif name == "BCEAccumulator.update":
        fs.BCEAccumulator().update(x, t, **options)
    else:
        getattr(fs, name)(x, t, **options)


def explained(words: str) -> tuple[str, int]:
    found = re.match(r"[\w.]+: (c|numba)(?: \(\w+\))?, (\d+) threads?: ", words)
    assert found, words
    return found[1], int(found[2])


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"threads": 1}, {"backend": "c"}, {"backend": "numba"}], ids=str)
@pytest.mark.parametrize("size", [SMALL, LARGE, HUGE])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_was_said_is_what_was_done(
    name: str, size: int, options: dict[str, Any], computed: list[tuple[str, int]], pytestconfig: pytest.Config
) -> None:
    if options.get("backend") in pytestconfig.getoption("--hide"):
        pytest.skip("that backend is hidden")
    fs.set_num_threads(3)
    x = np.random.default_rng(0).random(size, np.float32)
    operands = (x,) if name in UNARY else (x, (x > 0.5).astype(np.float32))
    said = explained(fs.explain(*operands, op=name, **options))
    done(name, x, operands[-1], options)
    assert set(computed or [("c", 1)]) == {said}


@pytest.mark.parametrize("name", sorted(UNARY))
@pytest.mark.parametrize("layout", [lambda a: a[::2], lambda a: a.reshape(2, -1).T, lambda a: a.tolist(), np.asfortranarray], ids=range(4))
def test_of_any_layout(name: str, layout: Any, computed: list[tuple[str, int]]) -> None:
    fs.set_num_threads(3)
    x = layout(np.linspace(0.1, 0.9, LARGE, dtype=np.float32))
    said = explained(fs.explain(x, op=name))
    done(name, x, None, {})
    assert set(computed or [("c", 1)]) == {said}


@pytest.mark.parametrize("name", UFUNCS)
def test_a_ufunc_has_one_thread(name: str) -> None:
    words = fs.explain(np.zeros(HUGE, np.float32), np.zeros(HUGE, np.float32), op=name)
    assert explained(words)[1] == 1
    assert "the ufuncs are not shared" in words


def test_pythons_threads_are_seen_too(need_numba: None, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    over = thread_pool.over_pieces
    monkeypatch.setattr(thread_pool, "over_pieces", lambda work, size, threads: (counts.append(threads), over(work, size, threads))[1])
    x = np.zeros(HUGE, np.float32)
    words = fs.explain(x, x, op="bce_with_logits", backend="numba", threads=2)
    fs.bce_with_logits(x, x, backend="numba", threads=2)
    assert counts == [2] == [explained(words)[1]]
