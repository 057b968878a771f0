"""The search page: answers, uploads, HTML and widgets, over anybody's collection."""

from hashlib_nb.search.page.answers import (
    Answer,
    Ball,
    Choice,
    Collection,
    answer,
    average_precision_without,
    query_codes,
    seen,
    within,
)
from hashlib_nb.search.page.uploads import Upload, read_upload
from hashlib_nb.search.page.widgets import SearchPage

__all__ = [
    "Answer",
    "Ball",
    "Choice",
    "Collection",
    "SearchPage",
    "Upload",
    "answer",
    "average_precision_without",
    "query_codes",
    "read_upload",
    "seen",
    "within",
]
