"""Parts of a work are files: what is there is taken, what is damaged is named, and folders that nobody shares too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts
from hashlib_nb.artifacts import CommandError
from hashlib_nb.scale import Where, made, part_path, parts, state_of
from tests.helpers import damage
from tests.scale import jobs


def run(folder: Path, where: Where | None = None, work=jobs.make) -> dict[int, int]:
    """Five parts, each a number."""
    (folder / "made").mkdir(exist_ok=True)
    paths = [part_path(folder / "parts", {"number": number}) for number in range(5)]
    todo = [(number, str(folder / "made")) for number in range(5)]
    return {
        number: int(arrays["number"]) for number, arrays, _ in made(work, todo, paths, ("number",), where or Where())
    }


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "text", "npy", "folder"])
def test_a_damaged_part_is_named_and_made_anew_and_no_other(tmp_path, how, capsys):
    assert run(tmp_path) == {number: number for number in range(5)}
    broken = part_path(tmp_path / "parts", {"number": 3})
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    damage(broken, how)
    if how == "folder":
        with pytest.raises((OSError, ValueError), match=broken.name):
            run(tmp_path)
        return
    assert run(tmp_path) == {number: number for number in range(5)}
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(str(broken))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert [path for path in before if before[path] != after[path]] == [broken]


def test_a_part_that_lacks_an_array_is_made_anew(tmp_path, capsys):
    run(tmp_path)
    broken = part_path(tmp_path / "parts", {"number": 2})
    artifacts.save_npz(broken, {"other": np.zeros(1)})
    assert run(tmp_path)[2] == 2
    assert f"{broken} lacks number; it must be made anew" in capsys.readouterr().out


def test_a_part_depends_on_all_that_is_said_of_it_and_on_the_version(tmp_path, monkeypatch):
    one = part_path(tmp_path, {"a": 1, "b": [2.5, None]})
    assert one == part_path(tmp_path, {"b": [2.5, None], "a": 1})
    assert one != part_path(tmp_path, {"a": 1, "b": [2.5]})
    monkeypatch.setattr("hashlib_nb.__version__", "9")
    assert one != part_path(tmp_path, {"a": 1, "b": [2.5, None]})


def test_a_file_written_anew_is_another(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    before = state_of(path)
    path.write_text("22")
    assert state_of(path) != before
    path.unlink()
    with pytest.raises(ValueError, match="a does not exist; name another file"):
        state_of(path)


@pytest.mark.process
@pytest.mark.usefixtures("without_dask")
def test_workers_that_do_not_see_the_folder_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(parts.Path, "touch", lambda path: None)  # as if it went to another disk
    with pytest.raises(
        ValueError, match=r"^parts: a worker on .* does not see .*parts; name a folder that all workers"
    ):
        run(tmp_path, Where(workers=2))
    assert not [*(tmp_path / "made").iterdir()]


def test_a_part_that_its_dead_worker_could_not_speak_of_any_more_is_taken_and_a_damaged_one_is_not(tmp_path):
    (tmp_path / "made").mkdir()
    part = str(part_path(tmp_path, {"number": 7}))
    ready = (jobs.make, ("number",), None)
    todo = (7, str(tmp_path / "made"))
    assert parts._make(ready, part, *todo) == part
    before = Path(part).stat().st_mtime_ns
    assert parts._make(ready, part, *todo) == part
    assert Path(part).stat().st_mtime_ns == before
    damage(Path(part), "truncated")
    assert parts._make(ready, part, *todo) == part
    assert artifacts.load_npz(Path(part))[0]["number"] == 7


def test_a_part_that_is_not_where_the_worker_says_is_one_sentence(tmp_path):
    with pytest.raises(CommandError, match=r"^a worker has made a part that cannot be used here: .* does not exist"):
        run(tmp_path, work=jobs.make_elsewhere)
