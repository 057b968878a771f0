"""A picture without an alternative text is a warning, and the book is built with warnings as errors."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def warn_without_text(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of each picture of a page that has no alternative text, by the number of its cell if it has one."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            logger.warning("%s has no alternative text; %s", *_place_and_remedy(image), location=image, type="alt")


def _place_and_remedy(image: nodes.image) -> tuple[str, str]:
    ancestor = image.parent
    while ancestor is not None and "cell_index" not in ancestor:
        ancestor = ancestor.parent
    if ancestor is None:
        return f"picture {image['uri']}", "write ![what it shows](file)"
    remedy = 'write {"mystnb": {"image": {"alt": "what it shows"}}} into the metadata of the cell'
    return f"the picture of cell {ancestor['cell_index'] + 1}", remedy


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page once it is read."""
    app.connect("doctree-read", warn_without_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
