"""Tables and lists that people wrote: texts read line by line, so that a refusal names the file and the line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from hashlib_nb.machine import printable

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How texts of two bytes a letter begin, such as those that Excel calls Unicode."""
REMEDY = 'save it as UTF-8 (Excel: "CSV UTF-8")'


def read_text(path: Path) -> str:
    """A file's text, its line ends made one kind; UTF-8, with or without a mark of that at the beginning.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no regular file, or no UTF-8; the message names file and line.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # reading a pipe or a device may never end
        raise ValueError(f"{printable(path)} is no regular file; give a text file.")
    content = path.read_bytes()
    if content.startswith(UTF_16):
        raise ValueError(f"{printable(path)} is a text in UTF-16; {REMEDY}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{printable(path)}, line {line}: no UTF-8; {REMEDY}.") from None
    if "\0" in text:
        raise ValueError(f"{printable(path)}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: no text; {REMEDY}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: It is no JSON; the message names the file, and the line where that is known.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{printable(path)}, line {error.lineno}: no JSON ({error.msg}).") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise ValueError(f"{printable(path)} is no JSON that can be read ({error}).") from None


def read_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file whose first line names its columns: (line number from 1, {column: field}), empty lines apart.

    Args:
        path: The file.
        columns: Those that must be there; further ones are left alone.

    Raises:
        ValueError: A column that is missing or there twice, a row with more or fewer fields, or an open quote; the
            message names file and line.
    """
    rows = _records(path)
    number, header = rows[0] if rows else (1, [])
    header = [name.strip() for name in header]
    if not set(columns) <= set(header):
        begins = printable(",".join(header)[:60])
        raise ValueError(f"{printable(path)} must begin with the line {','.join(columns)}; it begins with {begins!r}.")
    if twice := [name for name in header if header.count(name) > 1]:
        raise ValueError(f"{printable(path)}, line {number}: the column {twice[0]!r} is there twice; keep one.")
    for number, fields in rows[1:]:
        if len(fields) != len(header):
            raise ValueError(
                f"{printable(path)}, line {number}: {len(fields)} fields, but the first line names {len(header)}; give "
                "one field a column, in quotes where it holds a comma."
            )
    return [(number, dict(zip(header, fields, strict=True))) for number, fields in rows[1:]]


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """(number of its line, fields) of each row; a row takes one line, so that an open quote cannot swallow others."""
    reader, rows, before = csv.reader(io.StringIO(read_text(path), newline=""), strict=True), [], 0
    try:
        for fields in reader:
            if reader.line_num > before + 1:
                raise csv.Error("a row of several lines")
            before = reader.line_num
            if fields:
                rows.append((before, fields))
    except csv.Error as error:
        line = f"{printable(path)}, line {before + 1}"
        raise ValueError(f"{line}: {error} (is a quote left open?); write each row on one line.") from None
    return rows
