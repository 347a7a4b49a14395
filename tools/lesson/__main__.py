"""``python -m tools.lesson`` compares the pages of the lesson with what they should be; ``--write`` makes them and their pictures."""

from __future__ import annotations

import argparse

from fastsig.system.atomic_files import write_text
from tools.lesson import pages, pictures, times
from tools.lesson.figures import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.lesson", description=__doc__)
    parser.add_argument("--write", action="store_true", help="make the pages and pictures in docs/")
    parser.add_argument("--times", action="store_true", help="measure before what an activation costs on this machine")
    given = parser.parse_args()
    if given.times:
        times.record()
    if given.write:
        for name in pictures.PICTURES:
            pictures.draw(name, ROOT / "docs" / name)
    wrong = 0
    for name in pages.LANGUAGES:
        page = pages.page(name)
        if given.write:
            write_text(ROOT / "docs" / name, page)
        for difference in pages.differences(pages.committed(name), page):
            print(f"docs/{name}: {difference}")
            wrong = 1
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
