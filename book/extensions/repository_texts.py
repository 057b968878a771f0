"""Pages whose text stands elsewhere in the repository, with links that work in the book.

A link to a lesson or to a page of the book leads there. Of a link to another file of the repository its words remain:
the book is read without the files, and those of the assignments hold the solutions.
"""

from __future__ import annotations

import re
from pathlib import Path

from executed_lessons import write
from sphinx.application import Sphinx
from sphinx.config import Config

TEXTS = {
    "classroom.md": "assignments/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "results.md": "results/README.md",
    "speed.md": "benchmarks/README.md",
}
"""Page of the book, and the file that it shows, seen from the repository's root."""
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?!https?:|#)(?P<target>[^)]+)\)")
LESSON = re.compile(r"notebooks/((?!00_)\d\d_\w+\.ipynb)$")
PAGE = re.compile(r"(?:^|/)book/(.+\.md)$")


def place(app: Sphinx, config: Config) -> None:
    """Write each of the pages into the book's folder."""
    book = Path(app.srcdir)
    for page, file in TEXTS.items():
        write(book / page, for_the_book((book.parent / file).read_text(encoding="utf-8")))


def for_the_book(text: str) -> str:
    """Markdown whose links to files of the repository lead to lessons and pages, or are words alone."""
    return LINK.sub(_in_the_book, text)


def _in_the_book(link: re.Match) -> str:
    if lesson := LESSON.search(link["target"]):
        return f"[{link['words']}](lessons/{lesson[1]})"
    page = PAGE.search(link["target"])
    return f"[{link['words']}]({page[1]})" if page else link["words"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Before Sphinx looks for pages."""
    app.connect("config-inited", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
