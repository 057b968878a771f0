"""Datasets by name: pictures, their labels, and a split into query, train and database. No torch."""

from hashlib_nb.datasets._decode import PictureError, decode, open_picture, square, suffixes, upright_color
from hashlib_nb.datasets._files import pool_of_files
from hashlib_nb.datasets._folders import passed_over, walk
from hashlib_nb.datasets._options import label, parse_options, typed_options
from hashlib_nb.datasets._pictures import Pictures, in_threads
from hashlib_nb.datasets._splits import PARTS, Pool, Split, Splits, split_by_class
from hashlib_nb.datasets.lists import read_list
from hashlib_nb.datasets.registry import load, loader, names

__all__ = [
    "PARTS",
    "PictureError",
    "Pictures",
    "Pool",
    "Split",
    "Splits",
    "decode",
    "in_threads",
    "label",
    "load",
    "loader",
    "names",
    "open_picture",
    "parse_options",
    "passed_over",
    "pool_of_files",
    "read_list",
    "split_by_class",
    "square",
    "suffixes",
    "typed_options",
    "upright_color",
    "walk",
]
