"""Executed copies of the lessons: which may be shown, what is shown of them, and those that book/executed/ keeps."""

from __future__ import annotations

import base64
import io
import subprocess
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from hashlib_nb.course import executed, lessons
from hashlib_nb.course.lessons import LESSONS, Lesson
from hashlib_nb.machine.ends import CommandError
from tests.helpers import ROOT

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
RUN = {"start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:01:30", "duration": 90.0, "exception": None}
SHORT = Lesson("01_short", in_course=True)


@pytest.fixture
def lesson(home, monkeypatch) -> tuple[Path, Path]:
    """A course of one short notebook, and its executed copy in runs/."""
    monkeypatch.setattr(lessons, "NOTEBOOKS", home / "notebooks")
    monkeypatch.setattr(lessons, "LESSONS", (SHORT,))
    monkeypatch.setattr(executed, "KEPT", home / "book" / "executed")
    cells = [
        new_markdown_cell("# 01 · A title\n\n**A question?**", id="title"),
        new_code_cell("a = 1", id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell("print(a)", id="print"),
    ]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    source, copy = SHORT.path, home / "runs" / SHORT.path.name
    for path in (source, copy):
        path.parent.mkdir()
    nbformat.write(notebook, source)
    notebook.metadata["papermill"] = RUN | {"input_path": str(source), "output_path": str(copy)}
    notebook.cells[2].outputs = [new_output("stream", text="1\n")]
    notebook.cells[2].metadata["papermill"] = {"duration": 0.1}
    nbformat.write(notebook, copy)
    return source, copy


def change(path: Path, how) -> None:
    notebook = nbformat.read(path, as_version=4)
    how(notebook)
    nbformat.write(notebook, path)


def shown(source: Path, copy: Path) -> NotebookNode:
    found = executed.read_executed(source, copy)
    assert not isinstance(found, str)
    return executed.merged(nbformat.read(source, as_version=4), found)


# which copies are shown


def fails(notebook):
    notebook.metadata.papermill.exception = True


def shows_an_error(notebook):
    notebook.cells[2].outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]


def is_killed(notebook):
    notebook.metadata.papermill.end_time = None


def runs_other_code(notebook):
    notebook.cells[2].source = "print(2)"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (fails, "failed"),
        (shows_an_error, "failed"),
        (is_killed, "did not run to its end"),
        (runs_other_code, "has other code than the notebook"),
    ],
)
def test_a_copy_that_must_not_be_shown(lesson, how, says):
    source, copy = lesson
    assert not isinstance(executed.read_executed(source, copy), str)
    change(copy, how)
    assert executed.read_executed(source, copy) == says


def test_a_missing_and_a_cut_off_copy(lesson):
    source, copy = lesson
    copy.write_bytes(copy.read_bytes()[:200])
    assert executed.read_executed(source, copy) == "is no whole notebook"
    copy.unlink()
    assert executed.read_executed(source, copy) == "is missing"


# what is shown of them


def test_words_and_metadata_come_from_the_notebook_and_outputs_from_the_copy(lesson):
    source, copy = lesson
    change(source, lambda notebook: notebook.cells[0].update(source="# 01 · Mended\n\n**A question?**"))
    change(source, lambda notebook: notebook.cells[2].metadata.update(mystnb={"image": {"alt": "what it shows"}}))
    cells = shown(source, copy).cells
    assert cells[0].source.startswith("# 01 · Mended")
    assert cells[2].metadata.mystnb.image.alt == "what it shows"
    assert cells[2].outputs[0].text == "1\n"


def test_injected_parameters_are_shown_where_they_were_run(lesson):
    source, copy = lesson
    injected = new_code_cell("a = 12", id="k", metadata={"tags": ["injected-parameters"]})
    change(copy, lambda notebook: notebook.cells.insert(2, injected))
    assert [cell.source for cell in executed.code_of(shown(source, copy))] == ["a = 1", "a = 12", "print(a)"]


def test_widgets_and_warnings_are_left_out_and_tables_are_not():
    widget = new_output("display_data", {executed.WIDGET: {}, "text/plain": "0%"})
    warning = new_output("stream", name="stderr", text="UserWarning")
    table = new_output("execute_result", {"text/html": "<table></table>", "text/plain": "a"})
    said = [new_output("stream", text=text) for text in ("a\n", "b\n")]
    kept = executed.readable([said[0], widget, said[1], warning, table])
    assert [kept[0].text, kept[1]] == ["a\nb\n", table]
    assert said[0].text == "a\n"


SAVED = "saved artifacts/a/codes.npz (made in 41 s by hashlib_nb.encoder)\n"
LOADED = "loaded artifacts/a/b.npz (made in 4 s by hashlib_nb.selection)\n"


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (SAVED + LOADED + "1500 pictures\n", None),
        ("1\n" + SAVED + LOADED * 34 + "2\n", "1\n" + SAVED + "... and 34 more files saved or loaded\n2\n"),
        (LOADED * 3, LOADED + "... and 2 more files saved or loaded\n"),
        ("saved artifacts/a.npz\n" * 3, None),  # something that a cell says of its own
        ("no end of line", None),
        ("", None),
    ],
    ids=["two lines", "in the middle", "all of it", "other words", "no end of line", "nothing"],
)
def test_a_log_of_files_is_its_first_line_and_their_number(printed, read):
    assert executed.few_lines_of_files(printed) == (printed if read is None else read)


# the copies that are kept


def encoded(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_kept_figure_has_the_same_pixels_nearly_in_fewer_bytes():
    x, y = np.meshgrid(np.arange(200), np.arange(120))
    noise = np.random.default_rng(0).integers(0, 20, (120, 200))
    drawn = (
        np.stack([x + noise, 2 * y, (x + y) // 2 + noise, np.full_like(x, 255)], axis=2).clip(0, 255).astype(np.uint8)
    )
    before = encoded(Image.fromarray(drawn))
    after = executed.with_few_colors(before)
    assert len(after) < len(before)
    assert decoded(after).mode == "P"
    difference = np.asarray(decoded(after).convert("RGB"), int) - drawn[:, :, :3]
    assert np.abs(difference).mean() < 8  # of 256
    assert executed.with_few_colors(after) == after


def test_a_figure_that_lets_light_through_is_kept_as_it_is():
    drawn = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 4), dtype=np.uint8)))
    assert executed.with_few_colors(drawn) == drawn


def test_what_ran_is_kept_and_shown_where_nothing_has_run(lesson, home, capsys):
    source, copy = lesson
    executed.main(executed.Args("keep"))
    assert capsys.readouterr().out.startswith("book/executed/ has 1 lessons as they ran, 0.0 MB")
    copy.unlink()
    executed.main(executed.Args("check"))
    kept = home / "book" / "executed" / source.name
    assert str(home) not in kept.read_text(encoding="utf-8")
    assert shown(source, kept).cells[2].outputs[0].text == "1\n"
    listed = (kept.parent / "README.md").read_text(encoding="utf-8")
    assert "| [01 · A title](01_short.ipynb) | A question? | 1.5 |" in listed


def test_a_kept_copy_names_no_folder_of_the_machine(lesson, home):
    source, copy = lesson
    table = new_output("execute_result", {"text/plain": f"{home}/runs", "text/html": f"<b>{Path.home()}/.cache</b>"})
    said = new_output("stream", text=f"saved to {home}/artifacts\n")
    change(copy, lambda notebook: notebook.cells[2].update(outputs=[said, table]))
    executed.main(executed.Args("keep"))
    said, table = nbformat.read(home / "book" / "executed" / source.name, as_version=4).cells[2].outputs
    assert said.text == "saved to ./artifacts\n"
    assert table.data == {"text/plain": "./runs", "text/html": "<b>~/.cache</b>"}


def test_a_word_that_is_mended_reaches_the_kept_copy_without_a_run(lesson, home):
    source, copy = lesson
    executed.main(executed.Args("keep"))
    copy.unlink()
    change(source, lambda notebook: notebook.cells[0].update(source="# 01 · Mended\n\n**A question?**"))
    executed.main(executed.Args("keep"))
    kept = nbformat.read(home / "book" / "executed" / source.name, as_version=4)
    assert kept.cells[0].source.startswith("# 01 · Mended")
    assert kept.cells[2].outputs[0].text == "1\n"


def test_copies_of_lessons_that_are_gone_are_removed(lesson, home):
    executed.main(executed.Args("keep"))
    (home / "book" / "executed" / "00_gone.ipynb").write_text("{}")
    executed.main(executed.Args("keep"))
    assert {path.name for path in (home / "book" / "executed").iterdir()} == {"01_short.ipynb", "README.md"}


def test_a_run_with_other_parameters_is_shown_but_not_kept(lesson):
    _, copy = lesson
    injected = new_code_cell("a = 12", id="k", metadata={"tags": ["injected-parameters"]})
    change(copy, lambda notebook: notebook.cells.insert(2, injected))
    executed.main(executed.Args("check"))
    with pytest.raises(CommandError, match=r"^runs/01_short.ipynb ran with other parameters .* --notebooks 01$"):
        executed.main(executed.Args("keep"))


def test_code_that_has_changed_is_named_and_run_and_nothing_else_is(lesson, capsys):
    source, _ = lesson
    change(source, lambda notebook: notebook.cells[2].update(source="print(a + 1)"))
    for do in ("check", "keep"):
        with pytest.raises(CommandError, match=r"^runs/01_short.ipynb has other code than the notebook\. Run: .* 01$"):
            executed.main(executed.Args(do))
    executed.main(executed.Args("run"))
    assert "01_short.ipynb: " in capsys.readouterr().out
    executed.main(executed.Args("run"))
    assert capsys.readouterr().out == "1 lessons can be shown as they ran\n"


def test_where_there_are_no_lessons_it_is_said(monkeypatch):
    monkeypatch.setattr(lessons, "LESSONS", ())
    with pytest.raises(ValueError, match=r"notebooks has no lessons.txt; run this in a clone of the repository$"):
        executed.Args()


@pytest.mark.parametrize(("target", "last"), [("book", "-m sphinx "), ("executed", "-m hashlib_nb executed keep")])
def test_make_runs_what_no_copy_shows_before_it_shows_or_keeps_anything(target, last):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = [line for line in done.stdout.splitlines() if " -m hashlib_nb " in line or " -m sphinx " in line]
    assert first.endswith("-m hashlib_nb executed run")
    assert last in second


def test_copies_in_the_repository_are_small_and_whole_and_a_stale_one_is_told():
    """A warning and no failure: who edits a notebook need not run it for half an hour first; `make executed` does."""
    found = {lesson.name: executed.read_executed(lesson.path, executed.KEPT / lesson.path.name) for lesson in LESSONS}
    stale = {name: fault for name, fault in found.items() if isinstance(fault, str)}
    assert {*stale.values()} <= {"is missing", "has other code than the notebook"}
    for name in found.keys() - stale.keys():
        copy = found[name]
        assert not any(executed.is_injected(cell) for cell in executed.code_of(copy))
        assert all(executed.readable(cell.outputs) == cell.outputs for cell in executed.code_of(copy))
    sizes = {path.name: path.stat().st_size for path in executed.KEPT.glob("*")}
    assert sum(sizes.values()) < 6_000_000, sizes
    if stale:
        warnings.warn(f"book/executed/ shows other code than {', '.join(stale)}: make executed", stacklevel=1)


def test_copies_in_the_repository_show_the_stored_tables():
    """A lesson that finds no table makes a small one, which shows one encoder where the page of results has ten."""
    lessons_with_tables = [lesson for lesson in LESSONS if "results_file" in lesson.path.read_text(encoding="utf-8")]
    assert len(lessons_with_tables) >= 4
    for lesson in lessons_with_tables:
        copy = (executed.KEPT / lesson.path.name).read_text(encoding="utf-8")
        printed = [
            "".join(output.get("text", ""))
            for cell in executed.code_of(nbformat.reads(copy, as_version=4))
            for output in cell.outputs
        ]
        assert not [text for text in printed if "is stored" in text or "results/ has no" in text]
