"""MS-COCO (Lin et al., 2014) and its subsets: pictures with the categories of the things that they show.

Reads the instance annotations of https://cocodataset.org, any number of files: `annotations/instances_train2014.json`
with the pictures in `train2014/`, or `annotations/instances.json` with all pictures in `images/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from hashlib_nb import checks
from hashlib_nb.datasets._draw import Counts, draw_at_random
from hashlib_nb.datasets._files import pool_of_files
from hashlib_nb.datasets._splits import Pool, Splits
from hashlib_nb.datasets._tables import read_json
from hashlib_nb.machine import printable

SOURCE = "https://cocodataset.org"
LICENSE = "annotations CC BY 4.0; each picture under the Flickr license that its annotation names"


def load(
    root: Path | None,
    seed: int,
    query: int = 5_000,
    train: int = 10_000,
    database: int = 0,
    train_from_database: bool = True,
    exclude: Sequence[str] = (),
    size: int = 256,
    on_error: Literal["raise", "skip"] = "raise",
) -> Splits:
    """Load the pictures that show at least one category and split them at random.

    Args:
        root: Folder with `annotations/` and the pictures.
        seed: Decides the split.
        query: Query pictures (5,000 in HashNet and after).
        train: Training pictures.
        database: Database pictures; 0 for all others.
        train_from_database: Whether the training pictures are in the database as well, as published; otherwise they
            are beside it.
        exclude: Names of categories to do without. A picture that shows nothing else is dropped and counted.
        size: Height and width in pixels that the pictures are decoded to.
        on_error: "raise" for a file that is missing or empty, or "skip" to check all files and go on without the bad.

    Raises:
        FileNotFoundError: No annotations, or a picture is missing.
        ValueError: Annotations that are not COCO's, an unknown category, or too few pictures.
    """
    if root is None:
        raise FileNotFoundError("coco is not part of the package: pass root= a folder with annotations/ and pictures.")
    counts = Counts(query, train, database, train_from_database)
    pool = _read_pool(root, tuple(exclude), size, on_error)
    where = "from the database" if train_from_database else "beside the database"
    without = f", without {', '.join(exclude)}" if exclude else ""
    return pool.split(
        draw_at_random(len(pool), counts, seed),
        name="coco",
        source=SOURCE,
        license=LICENSE,
        seed=seed,
        protocol=f"{query:,} query, {train:,} train {where}, database {f'{database:,}' if database else 'the rest'}"
        + without,
        split=f"pictures with labels{without} drawn at random; training pictures {where}",
    )


def _read_pool(root: Path, exclude: tuple[str, ...], size: int, on_error: str) -> Pool:
    files = sorted((root / "annotations").glob("instances*.json"))
    if not files:
        raise FileNotFoundError(f"{root / 'annotations'} holds no instances*.json; pass root= the folder above it.")
    read = [read_instances(file) for file in files]
    class_names = read[0][2]
    for file, (_, _, names) in zip(files, read, strict=True):
        if names != class_names:
            raise ValueError(f"{file} has other categories than {files[0]}; keep files of one kind in annotations/.")
    names = [f"{_folder(root, file)}/{name}" for file, (held, _, _) in zip(files, read, strict=True) for name in held]
    labels = np.concatenate([labels for _, labels, _ in read])
    kept_classes = _kept_classes(class_names, exclude)
    labeled, kept = labels.any(axis=1), labels[:, kept_classes].any(axis=1)
    dropped = {"without labels": int((~labeled).sum()), "only excluded labels": int((labeled & ~kept).sum())}
    return pool_of_files(
        [name for name, keep in zip(names, kept, strict=True) if keep],
        labels[kept][:, kept_classes],
        tuple(class_names[column] for column in kept_classes),
        root=root,
        size=size,
        on_error=on_error,
        dropped=dropped,
    )


def read_instances(file: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Read one file of instance annotations.

    Returns:
        File names of the pictures, sorted; labels uint8 {0,1} [n, m]; the m categories in the order of their ids.

    Raises:
        ValueError: The file is no JSON, lacks a part, lists an id, a picture or a category twice, or annotates what it
            does not list.
    """
    content = read_json(file)
    pictures = sorted((name, number) for number, name in _entries(file, content, "images", "file_name").items())
    categories = sorted(_entries(file, content, "categories", "name").items())
    shown = [
        (_id(file, thing, "image_id"), _id(file, thing, "category_id")) for thing in _part(file, content, "annotations")
    ]
    row_of = {image: row for row, (_, image) in enumerate(pictures)}
    column_of = {category: column for column, (category, _) in enumerate(categories)}
    labels = np.zeros((len(pictures), len(categories)), dtype=np.uint8)
    for image, category in shown:
        if image not in row_of or category not in column_of:
            raise ValueError(f"{file} annotates image {image} with category {category}, and does not list both.")
        labels[row_of[image], column_of[category]] = 1
    return [name for name, _ in pictures], labels, tuple(printable(name) for _, name in categories)


def _part(file: Path, content: object, part: str) -> list[dict]:
    """One of the lists that the file must hold."""
    found = content.get(part) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{file} is no file of COCO instance annotations (it holds no list {part!r} of objects).")
    return found


def _entries(file: Path, content: object, part: str, named_by: str) -> dict[int | str, str]:
    """{id: name} of the pictures or the categories. Files that were joined hold an id twice, for two things."""
    found: dict[int | str, str] = {}
    for each in _part(file, content, part):
        number, name = _id(file, each, "id"), each.get(named_by)
        if not isinstance(name, str) or not name:
            raise ValueError(f"{file}: {named_by} of {part} {number} is {checks.shown(name)}; give a text.")
        if number in found:
            raise ValueError(
                f"{file} lists the id {number} twice in {part}, for {found[number]!r} and {name!r}; give each its own."
            )
        found[number] = name
    if twice := [name for name, count in Counter(found.values()).items() if count > 1]:
        raise ValueError(f"{file} lists {twice[0]!r} twice in {part}, under two ids; list each once.")
    if len({type(number) for number in found}) > 1:
        raise ValueError(f"{file} has ids in {part} that are numbers and others that are texts; give one kind.")
    return found


def _id(file: Path, each: dict, name: str) -> int | str:
    found = each.get(name)
    if isinstance(found, float) and found.is_integer():  # as tables write whole numbers beside empty cells
        return int(found)
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        raise ValueError(f"{file} has the {name} {checks.shown(found)}; give a whole number.")
    return found


def _folder(root: Path, file: Path) -> str:
    """Where the pictures of an annotation file lie: images/, or train2014/ for instances_train2014.json."""
    own = file.stem.removeprefix("instances").strip("_")
    folder = own if own and (root / own).is_dir() else "images"
    if not (root / folder).is_dir():
        places = " or ".join(str(root / place) for place in (own, "images") if place)
        raise FileNotFoundError(f"the pictures of {file.name} are missing: {places} is no folder.")
    return folder


def _kept_classes(class_names: tuple[str, ...], exclude: tuple[str, ...]) -> list[int]:
    for name in exclude:
        if name not in class_names:
            raise ValueError(f"exclude has {name!r}, which is no category here; there are: {', '.join(class_names)}.")
    kept = [column for column, name in enumerate(class_names) if name not in exclude]
    if not kept:
        raise ValueError("exclude has every category; leave at least one.")
    return kept
