"""Pictures that a command line names: files, and what lies in folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hashlib_nb.artifacts import printable
from hashlib_nb.datasets import passed_over, suffixes, walk

if TYPE_CHECKING:
    pass


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths` and the pictures in the folders among them, each once, a folder's in the order of names.

    Folders are searched with all that lies in them, for files with a picture's ending; hidden ones are left out. What
    else lies there is counted on the standard error.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: no path, a pipe or a device, or a folder without any picture.
    """
    if not paths:
        raise ValueError("pictures is empty; name files or folders of pictures")
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for file in _in_folder(path) if path.is_dir() else [path]:
            if not file.exists():
                raise FileNotFoundError(
                    f"pictures: {printable(file)} does not exist; name files or folders of pictures"
                )
            if not file.is_file():
                raise ValueError(f"pictures: {printable(file)} is no regular file; name files or folders of pictures")
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    found = walk(folder)
    if said := passed_over(found.others, folder):
        print(said, file=sys.stderr)
    if not found.pictures:
        raise ValueError(
            f"pictures: {printable(folder)} has no file that ends in {', '.join(sorted(suffixes()))}"
            + (f" ({said})" if said else "")
        )
    return found.pictures
