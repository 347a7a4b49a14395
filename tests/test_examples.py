"""The examples run as they stand, and what they print is what they are there to show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from processes import printed

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = {
    "binary_classifier": ["sklearn", "scipy"],
    "boosting_rare_positives": ["sklearn", "xgboost", "lightgbm"],
    "multi_label_classifier": ["sklearn", "scipy"],
    "newton_logistic_regression": ["sklearn", "scipy"],
    "numba_code": ["numba"],
    "platt_calibration": ["sklearn", "scipy"],
    "sigmoid_beside_softmax": ["sklearn", "scipy"],
    "torch_training": ["torch"],
    "with_dask": ["dask.array", "distributed"],
    "with_pandas": ["pandas"],
    "with_polars": ["polars"],
}


def said_by(name: str, config: pytest.Config) -> str:
    for library in NEEDS.get(name, []):
        pytest.importorskip(library)
    return printed(f"import runpy; runpy.run_path({str(EXAMPLES / name)!r} + '.py', run_name='__main__')", config)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "c_abi"))
def test_it_runs(name: str, pytestconfig: pytest.Config) -> None:
    assert said_by(name, pytestconfig)


def test_the_one_in_c(pytestconfig: pytest.Config, need_c: None) -> None:
    assert said_by("c_abi", pytestconfig)


def test_the_binary_classifier_has_learned(pytestconfig: pytest.Config) -> None:
    """The most frequent of both classes would be right in 63%."""
    accuracy = re.search(r"accuracy (0\.\d+)", said_by("binary_classifier", pytestconfig))
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9


def test_both_methods_of_scipy_find_scikit_learns_coefficients(pytestconfig: pytest.Config) -> None:
    rows = re.findall(r"^(\S+) +loss (\S+) after (\d+) .*: (\S+)$", said_by("newton_logistic_regression", pytestconfig), re.MULTILINE)
    assert [row[0] for row in rows] == ["Newton-CG", "L-BFGS-B"]
    assert all(float(furthest) < 1e-6 for *_, furthest in rows)
    assert rows[0][1] == rows[1][1], "the loss, in ten digits after the point"
    assert int(rows[0][2]) < int(rows[1][2]), "the Hessian saves iterations"


def test_platts_calibration_is_scikit_learns(pytestconfig: pytest.Config) -> None:
    said = said_by("platt_calibration", pytestconfig)
    raw, ours, theirs = (float(found) for found in re.findall(r"^  (?:scores|calibrated|Calibrated).*? (\d\.\d+)", said, re.MULTILINE))
    assert ours == theirs < raw / 2
    furthest = re.search(r"log-odds (\S+) away", said)
    assert furthest is not None
    assert float(furthest[1]) < 1e-6


def test_the_torch_model_has_learned(pytestconfig: pytest.Config) -> None:
    accuracy = re.search(r"accuracy (\d\.\d+)", said_by("torch_training", pytestconfig))
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9


def test_the_guesses_weighed_in_compiled_code_are_near_the_truth(pytestconfig: pytest.Config) -> None:
    """500 answers tell the numbers to within 0.2 or so."""
    said = said_by("numba_code", pytestconfig)
    assert float(said.splitlines()[0].rpartition(" ")[2]) < 1e-12
    found = re.search(r"^weighed +(\S+) +(\S+)$", said, re.MULTILINE)
    assert found is not None
    assert abs(float(found[1]) - 2) < 0.6
    assert abs(float(found[2]) + 1) < 0.6


def test_the_model_on_dask_arrays_has_learned(pytestconfig: pytest.Config) -> None:
    """200,000 rows tell the weights to within 0.03 or so."""
    said = said_by("with_dask", pytestconfig)
    found, true = (list(map(float, re.search(rf"^{name} +(.*)$", said, re.MULTILINE)[1].split())) for name in ("weights", "true"))  # type: ignore[index]
    assert len(found) == len(true) == 5
    assert all(abs(a - b) < 0.1 for a, b in zip(found, true, strict=True))


def test_every_objective_finds_the_rare_positives(pytestconfig: pytest.Config) -> None:
    """Guessing would have a precision of 0.01."""
    rows = re.findall(r"^.+ (?:XGBoost|LightGBM) +(0\.\d+)$", said_by("boosting_rare_positives", pytestconfig), re.MULTILINE)
    assert len(rows) == 6
    assert all(float(precision) > 0.4 for precision in rows)


def test_every_class_of_the_multi_label_classifier_has_learned(pytestconfig: pytest.Config) -> None:
    """The most frequent answer would be right in 50 to 60%."""
    rows = re.findall(r"^(even|above 4|prime|has a loop) +(\S+) +(\S+)$", said_by("multi_label_classifier", pytestconfig), re.MULTILINE)
    assert len(rows) == 4
    assert all(float(accuracy) > 0.8 for *_, accuracy in rows)


def tables(said: str) -> dict[tuple[str, str], dict[int, tuple[float, ...]]]:
    """By dtype and library: for each logit the loss, its error, the gradient, its error."""
    found = {}
    for part in said.strip().split("\n\n"):
        title, _, *rows = part.splitlines()
        dtype, library = re.match(r"(\w+), target 1: (\w+)", title).groups()  # type: ignore[union-attr]
        found[dtype, library] = {int(row.split()[0]): tuple(map(float, row.split()[1:])) for row in rows}
    return found


def test_what_is_lost_without_logits(pytestconfig: pytest.Config) -> None:
    found = tables(said_by("bce_with_and_without_logits", pytestconfig))
    for (_, library), rows in found.items():
        if library == "fastsig":
            assert max(max(row[1], row[3]) for row in rows.values()) <= 3
    plain = found["float32", "NumPy"]
    assert plain[15][1] > 1e6, "the value is wrong"
    assert plain[18][0] == plain[18][2] == 0, "value and gradient are gone"
    assert plain[-104][1] == plain[-104][3] == float("inf"), "there is neither"


def test_what_torch_loses(pytestconfig: pytest.Config) -> None:
    """It clamps the logarithm at -100, and its gradient is 0 where the sigmoid is."""
    pytest.importorskip("torch")
    rows = tables(said_by("bce_with_and_without_logits", pytestconfig))["float32", "torch"]
    assert rows[18][0] == 0
    assert rows[-110][0] == 100
    assert rows[-110][2] == 0
