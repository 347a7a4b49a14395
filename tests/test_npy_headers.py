"""Whatever is in the header of an .npy file: it is read as NumPy reads it, or refused in one line. Headers are also made by hypothesis."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastsig as fs
from fastsig.cli.main import main
from fastsig.files.npy import LONGEST_HEADER, FileProblem, Stored
from fastsig.files.pieces import Held, Pieces, boxes

PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
ELEMENTS = bytes(256)


def written(path: Path, header: str | bytes, version: int = 1, length: int | None = None, elements: bytes = ELEMENTS) -> str:
    """A file with this header, and its length unless another is given."""
    text = header if isinstance(header, bytes) else header.encode("utf-8" if version == 3 else "latin-1")
    counted = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + counted + text + elements)
    return str(path)


def shaped(shape: object) -> str:
    return PLAIN.replace("(3,)", str(shape))


def described(descr: object) -> str:
    return PLAIN.replace("'<f4'", repr(descr))


BOMBS: dict[str, tuple[str, str]] = {
    "minus signs": ("-" * 9_900 + "1", "not an .npy file"),
    "attributes": ("a" + ".a" * 4_900, "not an .npy file"),
    "powers": ("1" + "**1" * 3_300, "not an .npy file"),
    "parentheses": ("(" * 9_900, "not an .npy file"),
    "brackets in brackets": (shaped("[" * 190 + "]" * 190), "not an .npy file"),
    "lists of types": (described("X").replace("'X'", "[" * 90 + "]" * 90), "not an .npy file"),
    "tuples of types": (described("X").replace("'X'", "(" * 90 + "'f4'" + ",1)" * 90), "dtype"),
    "a huge subarray": (described(("f4", (1 << 20, 1 << 20))), "not an .npy file"),
    "digits": (shaped(f"({'9' * 5_000},)"), "not an .npy file"),
    "many digits": (shaped(f"({'9' * 4_000},)"), "no array can have the shape"),
    "a product over 2^63": (shaped((1 << 40, 1 << 40)), "no array can have the shape"),
    "a product of 2^64": (shaped((1 << 32, 1 << 32)), "no array can have the shape"),
    "nothing of too much": (shaped((0, 1 << 70)), "no array can have the shape"),
    "too many axes": (shaped((1,) * 65), "no array can have the shape"),
    "more than there is": (shaped((1 << 40,)), "cut off"),
    "a negative length": (shaped((-1,)), "shape (-1,)"),
    "two negative lengths": (shaped((-2, -2)), "shape (-2, -2)"),
    "a boolean length": (shaped((True,)), "shape (True,)"),
    "a real length": (shaped((3.0,)), "not an .npy file"),
    "a list for a shape": (shaped([3]), "not an .npy file"),
    "a number for a shape": (shaped(3), "not an .npy file"),
    "text for a shape": (shaped("'abc'"), "not an .npy file"),
    "no order": (PLAIN.replace("False", "None"), "not an .npy file"),
    "an unknown key": (PLAIN.replace(", }", ", 'more': 1}"), "not an .npy file"),
    "a key that is none": (PLAIN.replace("'shape'", "(0, b'')"), "not an .npy file"),
    "a missing key": ("{'descr': '<f4', 'shape': (3,)}", "not an .npy file"),
    "a call": ("__import__('os').abort()", "not an .npy file"),
    "nothing": ("", "not an .npy file"),
    "a zero byte": (PLAIN + "\0", "not an .npy file"),
    "an unknown escape": (described("X").replace("X", "\\d"), "not an .npy file"),
    "objects": (described("|O"), "dtype object"),
    "records": (described([("a", "<f4"), ("b", "<i4")]), "dtype [("),
    "records in text": (described("f4,f4"), "dtype [("),
    "many records": (described([(f"a{i}", "<f4") for i in range(500)]), "dtype [("),
    "a subarray": (described("(2,3)f4"), "dtype ("),
    "a subarray of two bytes": (described(("u1", (2,))), "dtype ("),
    "text": (described("<U5"), "dtype <U5"),
    "dates": (described("<M8[s]"), "dtype datetime64[s]"),
    "complex": (described("<c8"), "dtype complex64"),
    "elements of no size": (described("V0"), "dtype |V0"),
    "no type": (described("nothing"), "not an .npy file"),
    "a field without a type": (described([("a",)]), "not an .npy file"),
    "a field of a number": (described([1]), "not an .npy file"),
}


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("what", BOMBS)
def test_a_bad_header_is_one_line(what: str, version: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header, words = BOMBS[what]
    source = written(tmp_path / "bad.npy", header, version)
    assert main(["apply", "sigmoid", source, str(tmp_path / "out.npy")]) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"fastsig apply: {source}: ")
    assert words in said
    assert said.count("\n") == 1
    assert len(said) < 400 + len(source)
    assert main(["score", source, source]) == 2
    assert capfd.readouterr().err == said.replace("fastsig apply", "fastsig score")


@pytest.mark.parametrize(("version", "length"), [(1, 65_535), (2, (1 << 32) - 1), (3, (1 << 32) - 1), (2, LONGEST_HEADER + 1), (1, 500)])
def test_a_header_that_says_it_is_longer(version: int, length: int, tmp_path: Path) -> None:
    words = "a header of" if length > LONGEST_HEADER else "cut off in its header"
    with pytest.raises(FileProblem, match=words):
        Stored(written(tmp_path / "bad.npy", PLAIN, version, length))


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 9, 10, 11, 12, 40])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_that_is_cut_in_its_header(version: int, count: int, tmp_path: Path) -> None:
    path = Path(written(tmp_path / "bad.npy", PLAIN, version))
    path.write_bytes(path.read_bytes()[:count])
    with pytest.raises(FileProblem, match="not an .npy file"):
        Stored(str(path))


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("kind", ["<f4", ">f8", "|b1", "<f2", "<i8"])
def test_every_version_of_the_format(version: int, kind: str, tmp_path: Path) -> None:
    x = np.arange(-6, 6).reshape(3, 4).astype(kind)
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (3, 4), }}"
    source, out = written(tmp_path / "x.npy", header, version, elements=x.tobytes()), tmp_path / "out.npy"
    assert main(["apply", "sigmoid", source, str(out)]) == 0
    assert np.load(out).tobytes() == np.asarray(fs.sigmoid(x)).tobytes()


def test_records_of_any_names_are_refused_by_what_they_are(tmp_path: Path) -> None:
    source = written(tmp_path / "x.npy", described([("名", "<f4")]), 3)
    with pytest.raises(FileProblem, match="holds records"):
        Stored(source)


def test_an_empty_array_lies_in_both_orders(tmp_path: Path) -> None:
    """NumPy calls it C order when it writes."""
    source, out = written(tmp_path / "x.npy", shaped((2, 3, 0)).replace("False", "True")), tmp_path / "out.npy"
    assert main(["apply", "sigmoid", source, str(out)]) == 0
    np.save(tmp_path / "expected.npy", fs.sigmoid(np.load(source)))
    assert out.read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_a_header_of_python_2_is_read(tmp_path: Path) -> None:
    with Stored(written(tmp_path / "x.npy", shaped("(3L,)"))) as x:
        assert x.shape == (3,)


def test_two_bytes_of_a_subarray_are_no_bfloat16(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    with Stored(written(tmp_path / "x.npy", described("|V2")), bfloat16=True) as x:
        assert x.dtype.name == "bfloat16"
    with pytest.raises(FileProblem, match=r"dtype \("):
        Stored(written(tmp_path / "x.npy", described(("u1", (2,)))), bfloat16=True)


LENGTHS = st.one_of(
    st.integers(-3, 9), st.sampled_from([1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, 1 << 70, True, 2.0, "3", None, (1,)])
)
SHAPES = st.one_of(
    st.lists(LENGTHS, max_size=5).map(tuple), st.lists(LENGTHS, max_size=2), st.lists(st.integers(0, 1), max_size=70).map(tuple), LENGTHS
)
NAMES = st.sampled_from(["<f4", ">f8", "f2", "|b1", "<u2", "|V2", "|O", "U3", "<M8", "V0", "c16", "f4,f4", "(2,)f4", "bfloat16", "", "?"])
DESCRIPTIONS = st.recursive(
    NAMES, lambda inner: st.one_of(st.lists(st.tuples(st.text(max_size=3), inner), max_size=3), st.tuples(inner, SHAPES)), max_leaves=5
)
ORDERS = st.sampled_from([False, True, None, 0, 1, "C"])
HEADERS = st.fixed_dictionaries(
    {"descr": DESCRIPTIONS, "fortran_order": ORDERS, "shape": SHAPES},
    optional={"extra": st.none(), 0: st.none()},  # type: ignore[dict-item]
).map(repr)
PIECES = st.one_of(
    st.characters(max_codepoint=0x17F), st.sampled_from(["(", "[", "{", "-", "'", "\\", "\n", "\0", "L", "1", "0" * 30, "#", "\\d", "é"])
)
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3), PIECES), max_size=4)


def changed(header: str, changes: list[tuple[float, int, str]]) -> str:
    """With some of the characters taken out, and others put in their places."""
    for place, taken, put in changes:
        at = int(place * len(header))
        header = header[:at] + put + header[at + taken :]
    return header


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.one_of(st.just(PLAIN), HEADERS), changes=CHANGES, version=st.integers(1, 3),
    size=st.one_of(st.none(), st.integers(0, 70_000)), bfloat16=st.booleans(), elements=st.integers(0, 200),
)  # fmt: skip
def test_no_header_is_answered_with_another_exception(
    header: str, changes: list[tuple[float, int, str]], version: int, size: int | None, bfloat16: bool, elements: int, tmp_path: Path
) -> None:
    text = changed(header, changes).encode("utf-8" if version == 3 else "latin-1", errors="replace")
    if version == 1:
        size, text = None if size is None else min(size, 65_535), text[:65_535]
    source = written(tmp_path / "x.npy", text, version, size, bytes(elements))
    try:
        with Stored(source, bfloat16=bfloat16) as x:
            found = x.elements(0, x.size) if x.size else np.empty(0, x.dtype)
            shape, order = x.shape, "F" if x.fortran else "C"
    except FileProblem as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 500 + len(source)
        return
    theirs = np.load(source, allow_pickle=False)
    assert (theirs.shape, theirs.dtype.itemsize) == (shape, found.dtype.itemsize)
    assert theirs.tobytes(order) == found.tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (4, 1, 3), (2, 3, 4), (5, 1), (1, 6)])
def test_boxes_are_the_elements_in_order(shape: tuple[int, ...]) -> None:
    places = np.arange(math.prod(shape)).reshape(shape)
    for start, stop in itertools.combinations(range(places.size + 1), 2):
        parts = list(boxes(shape, start, stop))
        found = [places[np.ix_(*part)].reshape(-1) if shape else places.reshape(-1) for part in parts]
        assert np.concatenate(found).tolist() == list(range(start, stop))
        assert len(parts) <= max(1, 2 * len(shape) - 1)


def sources(array: Any, directory: Path) -> list[Callable[[], Stored | Held]]:
    """The same in memory and in files of both orders."""
    made: list[Callable[[], Stored | Held]] = [lambda: Held(array)]
    for order in ("C", "F"):
        path = directory / f"{order}.npy"
        np.save(path, np.asarray(array, order=order))  # type: ignore[call-overload]
        made.append(lambda path=path: Stored(str(path)))  # type: ignore[misc]
    return made


@pytest.mark.parametrize("axes", [0, 1])
@pytest.mark.parametrize(
    ("own", "shape"),
    [
        ((7,), (7,)), ((4, 5), (4, 5)), ((1, 5), (4, 5)), ((4, 1), (4, 5)), ((5,), (4, 5)), ((), (4, 5)), ((1,), (4, 5)), ((), (7,)),
        ((2, 3, 4), (2, 3, 4)), ((3, 1), (2, 3, 4)), ((2, 1, 4), (2, 3, 4)), ((4,), (2, 3, 4)), ((1, 3, 1), (2, 3, 4)),
    ],
)  # fmt: skip
def test_pieces_are_those_of_the_broadcast_array(own: tuple[int, ...], shape: tuple[int, ...], axes: int, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=own)
    rows, columns = shape[: len(shape) - axes], shape[len(shape) - axes :]
    whole = np.broadcast_to(array, shape).reshape(math.prod(rows), *columns)
    for make in sources(array, tmp_path):
        source = make()
        pieces = Pieces(source, rows, columns)
        for start, stop in itertools.combinations(range(len(whole) + 1), 2):
            for wanted in [[]] if not axes else [[range(columns[0])], [range(columns[0] - 1, columns[0])], [range(2)]]:
                assert np.array_equal(pieces.read(range(start, stop), *wanted), whole[(slice(start, stop), *map(slice_of, wanted))])
        if isinstance(source, Stored):
            source.close()


def slice_of(places: range) -> slice:
    return slice(places.start, places.stop)
