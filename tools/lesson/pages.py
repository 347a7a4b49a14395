"""The pages of the lesson: a text in each language, with names in braces where figures and the outputs of its code go."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from tools.lesson.figures import ROOT, Language, figures

OUTPUT = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE_AND_PLACE = re.compile(CODE.pattern + r"\n\n\{\{output\}\}$", re.DOTALL | re.MULTILINE)
_PLACE = re.compile(r"\{\{([^{}]+)\}\}")
_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")
_TOLERANCE = 0.05
"""Of numbers that code prints: gradients differ in their last digits from processor to processor."""

ENGLISH = Language(
    between="{} to {}",
    verdicts={"vanishes": "vanishes", "weak": "weak", "flows": "flows", "explodes": "**explodes**"},
    inputs=("sigmoids, all positive", "the same minus 0.5"),
    costs={
        "matrix product": "the layer's matrix product (torch)",
        "relu": "ReLU (torch)",
        "exp": "exp alone (NumPy)",
        "torch sigmoid": "sigmoid (torch)",
        "fastsig sigmoid": "sigmoid (fastsig)",
    },
)
KOREAN = Language(
    between="{} ~ {}",
    verdicts={"vanishes": "소실", "weak": "약함", "flows": "잘 흐름", "explodes": "**폭발**"},
    inputs=("시그모이드의 출력, 모두 양수", "같은 값에서 0.5를 뺀 것"),
    costs={
        "matrix product": "층의 행렬 곱(torch)",
        "relu": "ReLU(torch)",
        "exp": "exp만(NumPy)",
        "torch sigmoid": "시그모이드(torch)",
        "fastsig sigmoid": "시그모이드(fastsig)",
    },
)
LANGUAGES = {"sigmoid.md": ENGLISH, "sigmoid.ko.md": KOREAN}
"""By the name of the page in docs/, which is that of its text beside this file."""


def template(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def page(name: str) -> str:
    """The whole text of a page."""
    made_by = "<!-- Made from tools/lesson/{} by `python -m tools.lesson --write`: change it there. -->\n\n"
    return made_by.format(name) + _with_figures(_with_outputs(template(name)), figures(LANGUAGES[name]))


def committed(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _with_outputs(text: str) -> str:
    """Run the code of the page, from its beginning on, and put what each piece prints behind it."""
    names: dict[str, Any] = {}

    def run(piece: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(piece[1], "<page>", "exec"), names)
        return f"```python\n{piece[1]}```\n\n```text\n{printed.getvalue()}```"

    return _CODE_AND_PLACE.sub(run, text)


def _with_figures(text: str, known: dict[str, str]) -> str:
    unknown = sorted({name for name in _PLACE.findall(text) if name not in known})
    if unknown:
        raise ValueError(f"the text asks for {', '.join(map(repr, unknown))}; known are {', '.join(map(repr, known))}")
    return _PLACE.sub(lambda place: known[place[1]], text)


def agree(given: str, wanted: str) -> bool:
    """Whether two outputs have the same words, and numbers that are as good as equal."""
    if _NUMBER.sub("#", given) != _NUMBER.sub("#", wanted):
        return False
    pairs = zip(_NUMBER.findall(given), _NUMBER.findall(wanted), strict=True)
    return all(abs(float(a) - float(b)) <= max(_TOLERANCE * abs(float(b)), _last_place(b)) for a, b in pairs)


def _last_place(number: str) -> float:
    mantissa, _, exponent = number.partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def differences(given: str, wanted: str) -> list[str]:
    """What a page has and what it should have, each that differs; nothing where it is as it should be."""
    outputs = zip(OUTPUT.findall(given), OUTPUT.findall(wanted), strict=False)
    found = [f"output {a!r}, should be {b!r}" for a, b in outputs if not agree(a, b)]
    lines, right = (OUTPUT.sub("```text", text).splitlines() for text in (given, wanted))
    found += [f"line {a!r}, should be {b!r}" for a, b in zip(lines, right, strict=False) if a != b]
    return found + ([f"{len(lines)} lines, should be {len(right)}"] if len(lines) != len(right) else [])
