"""Whether every link within a built site leads somewhere, and no page needs the net: ``python tools/site_links.py FOLDER``.

Prints what is wrong, a line each, and ends with status 1 where there is anything.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches without being asked, by the attribute that names it."""


class Page(HTMLParser):
    """The places that a page has, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.places.update(place for place in (given.get("id"), given.get("name")) if place)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if given.get(LOADS.get(tag, "")):
            self.loads.append(given[LOADS[tag]] or "")


def wrong(folder: Path) -> list[str]:
    """A line for each link and each file that is not there, and for what would be fetched from elsewhere."""
    pages = {path.resolve(): Page(path.read_text()) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}
    if not pages:
        return [f"{folder} has no pages"]
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found += [f"{name} loads {address}" for address in page.loads if urlsplit(address).netloc]
        for address in [*page.links, *page.loads]:
            if urlsplit(address).scheme or urlsplit(address).netloc:
                continue
            file, place = map(unquote, urldefrag(address))
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.exists():
                found.append(f"{name} links to {address}: there is no such file")
            elif place and target in pages and place not in pages[target].places:
                found.append(f"{name} links to {address}: that page has no such place")
    return found


if __name__ == "__main__":
    lines = wrong(Path(sys.argv[1]))
    print(*lines, sep="\n", end="\n" if lines else "")
    sys.exit(bool(lines))
