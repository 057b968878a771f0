"""`make figures`: only what is named or kept already goes from a run into figures/."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashlib_nb.plots.__main__ import Args, main


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A project with three figures of a run, one of them unlike the kept one, and one that is not kept."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    for folder, figures in {
        "figures": {"01_a": b"a", "02_b": b"old", "06_page": b"page"},
        "runs/figures": {"01_a": b"a", "02_b": b"new", "07_c": b"c"},
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        for name, content in figures.items():
            (tmp_path / folder / f"{name}.png").write_bytes(content)
    return tmp_path


def kept(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "figures").iterdir()}


def test_kept_figures_are_refreshed_and_the_changed_one_is_named(home, capsys):
    main(Args())
    assert kept(home) == {"01_a.png": b"a", "02_b.png": b"new", "06_page.png": b"page"}
    assert capsys.readouterr().out.splitlines() == [
        "figures/02_b.png changed",
        "1 of 2 figures are as they were",
        "not in figures, name them to add them: 07_c",
    ]


def test_a_named_figure_is_added_and_no_other_is_touched(home, capsys):
    main(Args(("07_c",)))
    assert kept(home) == {"01_a.png": b"a", "02_b.png": b"old", "06_page.png": b"page", "07_c.png": b"c"}
    assert capsys.readouterr().out.splitlines() == ["figures/07_c.png added", "0 of 1 figures are as they were"]


def test_a_name_that_no_run_has_drawn_is_refused_before_anything_is_copied(home):
    with pytest.raises(ValueError, match=r"names has .09_z.; runs/figures has 01_a, 02_b, 07_c"):
        main(Args(("02_b", "09_z")))
    assert kept(home)["02_b.png"] == b"old"


def test_without_a_run_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"runs/figures has no figures; run the notebooks first"):
        main(Args())
