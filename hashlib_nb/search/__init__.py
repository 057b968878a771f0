"""Picture files to an index, and an index to answers."""

from hashlib_nb.artifacts import printable
from hashlib_nb.hamming import Nearest, Neighbors, nearest, within_radius
from hashlib_nb.search.answers import Found, ask
from hashlib_nb.search.contents import Content, content_of
from hashlib_nb.search.encode import add_pictures, encode_pictures, load_encoder
from hashlib_nb.search.index import Index
from hashlib_nb.search.origin import Origin, classes_of, code_of_hex, hex_of, origin_of
from hashlib_nb.search.paths import find_pictures

__all__ = [
    "Content", "Found", "Index", "Nearest", "Neighbors", "Origin", "add_pictures", "ask", "checkpoints", "classes_of",
    "clips", "code_of_hex", "content_of", "encode_pictures", "exchange", "find_pictures", "fingerprints", "frames",
    "hex_of", "load_encoder", "merkle", "nearest", "origin_of", "printable", "records", "video", "within_radius",
]  # fmt: skip
