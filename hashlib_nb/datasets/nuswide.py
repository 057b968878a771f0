r"""NUS-WIDE: 269,648 pictures of Flickr with 81 concepts (Chua et al., 2009), of which the 21 most frequent are in use.

`root` holds the published label files and the pictures:

    ImageList/Imagelist.txt                     one picture a line, such as actor\\0001_2124494179.jpg
    Groundtruth/AllLabels/Labels_<concept>.txt  0 or 1 a line, in the order of that list
    Flickr/ or images/                          the pictures

Published lists of a split (a path and a 0/1 vector a line) are read by the dataset `lists` instead. Results on 21 and
on 81 concepts cannot be compared: chance alone is .43 against .28 of mAP@5,000.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from hashlib_nb.datasets._draw import Counts, draw_at_random, draw_balanced
from hashlib_nb.datasets._files import pool_of_files
from hashlib_nb.datasets._splits import Splits
from hashlib_nb.datasets._tables import read_text

SOURCE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
CONCEPTS = (21, 81)
PLACES = ("Flickr", "images")


def load(
    root: Path | None,
    seed: int,
    concepts: int = 21,
    query: int | None = None,
    train: int | None = None,
    database: int = 0,
    balanced: bool | None = None,
    train_from_database: bool = True,
    size: int = 256,
    on_error: Literal["raise", "skip"] = "raise",
) -> Splits:
    """Load the pictures that show at least one of the concepts, and split them.

    Args:
        root: Folder with ImageList/, Groundtruth/AllLabels/ and the pictures.
        seed: Decides the split.
        concepts: 21, the most frequent ones, or 81.
        query: Query pictures; None for 2,100 with 21 concepts and 5,000 with 81, as published.
        train: Training pictures; None for 10,500 and 10,000.
        database: Database pictures; 0 for all others.
        balanced: Draw equally many query and training pictures for each concept, as the thesis does; None for balanced
            with 21 concepts only (some of the 81 have too few pictures).
        train_from_database: Whether the training pictures are in the database as well, as in the thesis.
        size: Height and width in pixels that the pictures are decoded to.
        on_error: "raise" for a file that is missing or empty, or "skip" to check all files and go on without the bad.

    Raises:
        FileNotFoundError: A label file, the list of pictures or a picture is missing.
        ValueError: Fewer label files than concepts, files that disagree in length, another value than 0 and 1, or too
            few pictures.
    """
    if root is None:
        raise FileNotFoundError(
            "nuswide is not part of the package: pass root= a folder with ImageList/ and Groundtruth/."
        )
    if concepts not in CONCEPTS:
        raise ValueError(f"concepts is {concepts}; it must be 21 or 81.")
    of_21 = concepts == 21
    balanced = of_21 if balanced is None else balanced
    query = (2_100 if of_21 else 5_000) if query is None else query
    train = (10_500 if of_21 else 10_000) if train is None else train
    names, labels, class_names = read_labels(root)
    if len(class_names) < concepts:
        raise ValueError(
            f"concepts is {concepts}, but {root} has {len(class_names)} label files; fetch the missing ones."
        )
    kept = np.sort(np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")[:concepts])
    shown = labels[:, kept].any(axis=1)
    place = next((place for place in PLACES if (root / place).is_dir()), PLACES[0])
    pool = pool_of_files(
        [f"{place}/{name}" for name, keep in zip(names, shown, strict=True) if keep],
        labels[shown][:, kept],
        tuple(class_names[column] for column in kept),
        root=root,
        size=size,
        on_error=on_error,
        dropped={"without labels": int((~shown).sum())},
    )
    counts = Counts(query, train, database, train_from_database)
    if balanced:
        rows = draw_balanced(pool.everything.labels, pool.class_names, counts, seed)
    else:
        rows = draw_at_random(len(pool), counts, seed)
    drawn = "drawn equally for each concept" if balanced else "drawn at random"
    where = "from the database" if train_from_database else "beside the database"
    return pool.split(
        rows,
        name="nuswide",
        source=SOURCE,
        license="each picture under its own Flickr license; for research only",
        seed=seed,
        protocol=f"{concepts} concepts, {query:,} query, {train:,} train {where}",
        split=f"query and training pictures {drawn}, training pictures {where}",
    )


def read_labels(root: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Read the published list of pictures and the label file of each concept.

    Returns:
        Picture names with forward slashes; labels uint8 {0,1} [n, m]; the m concepts, sorted.

    Raises:
        FileNotFoundError: The list, or every label file, is missing.
        ValueError: A label file of another length than the list, or with another value than 0 and 1.
    """
    listed, folder = root / "ImageList" / "Imagelist.txt", root / "Groundtruth" / "AllLabels"
    if not listed.is_file():
        raise FileNotFoundError(f"{listed} does not exist; it comes with the published ImageList of NUS-WIDE.")
    names = [line.strip().replace("\\", "/") for line in read_text(listed).split("\n") if line.strip()]
    files = sorted(folder.glob("Labels_*.txt"))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no Labels_*.txt; they come with the published Groundtruth of NUS-WIDE."
        )
    labels = np.empty((len(names), len(files)), dtype=np.uint8)
    for column, file in enumerate(files):
        values = read_text(file).split()
        if len(values) != len(names):
            raise ValueError(f"{file} has {len(values):,} labels, but {listed.name} has {len(names):,} pictures.")
        if wrong := [(row, value) for row, value in enumerate(values, start=1) if value not in ("0", "1")]:
            raise ValueError(
                f"{file}, label {wrong[0][0]:,}: {wrong[0][1][:20]!r} is another value than 0 and 1; fetch it again."
            )
        labels[:, column] = np.array(values) == "1"
    return names, labels, tuple(file.stem.removeprefix("Labels_") for file in files)
