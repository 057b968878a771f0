"""Cells are what the methods find, they are kept, and tables say what they say."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from hashlib_nb import metrics, ppo, selectors
from hashlib_nb.experiments import grid, pools
from hashlib_nb.experiments.grid import Cell
from hashlib_nb.scale import Where
from hashlib_nb.selection import Reward
from tests.helpers import ROOT

METHODS = ("greedy", "swap", "random_search", "random")
SMALL = {"methods": METHODS, "lengths": (2, 4), "seeds": (0, 1), "budget": 40, "progress": False}


def synthetic(name: str = "synthetic", k: int = 10, seed: int = 0) -> pools.Candidates:
    """Bits that are read wrongly more or less often; four classes."""
    rng = np.random.default_rng(seed)
    class_codes, wrong = rng.integers(0, 2, (4, k)), 0.4 * rng.random(k)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        classes = rng.integers(0, 4, n)
        codes = class_codes[classes] ^ (rng.random((n, k)) < wrong)
        return codes.astype(np.uint8), np.eye(4, dtype=np.uint8)[classes]

    train, query, database = draw(40), draw(15), draw(50)
    return pools.Candidates(name, *train, train[0], np.arange(40) % 2, *query, *database)


POOL = synthetic()


def run_here(work: Callable, jobs: Sequence[tuple], where: Where, initial: tuple = (), **_) -> Iterator[Cell]:
    """What the workers do, in this process, which has everything loaded."""
    for job in jobs:
        yield work(*initial[:1], *job)  # the pools of a grid


@pytest.fixture
def without_workers(monkeypatch):
    """For tests of the files that cells are kept in."""
    monkeypatch.setattr(grid, "in_workers", run_here)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="module")
def cells(folder) -> list[Cell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "in_workers", run_here)
        return grid.run_grid([POOL], folder=folder, **SMALL)


def without_seconds(cells: list[Cell]) -> list[dict]:
    kept = [vars(replace(cell, seconds=0)) for cell in cells]
    return [{**cell, "history": {name: cell["history"][name] for name in ("calls", "best")}} for cell in kept]


def test_deterministic_methods_have_one_seed_and_the_others_all():
    plan = grid.planned(("greedy", "cem"), (3, 5), (7, 8))
    assert plan == [
        ("greedy", 3, 7), ("cem", 3, 7), ("cem", 3, 8),
        ("greedy", 5, 7), ("cem", 5, 7), ("cem", 5, 8),
    ]  # fmt: skip


def test_untrained_ppo_keeps_to_the_budget_and_its_policy_stays_uniform():
    pool = synthetic(k=30)
    cells = {method: grid.run_cell(pool, method, 6, 0, 300) for method in ("ppo", "untrained")}
    assert all(0 < cell.calls <= 300 for cell in cells.values())
    assert cells["untrained"].bits != cells["ppo"].bits
    found = ppo.train(ppo.Args(n_bits=6, budget=300, learning_rate=0.0, informed=False, progress=False), reward=Reward(
        pool.reward_codes, pool.reward_labels))  # fmt: skip
    np.testing.assert_allclose(found.history["policy_probabilities"][0], 1 / 30, atol=0.002)


def test_a_cell_is_what_the_method_finds_and_how_that_retrieves(cells):
    reward = Reward(POOL.reward_codes, POOL.reward_labels)
    assert [cell.key for cell in cells] == grid.planned(METHODS, (2, 4), (0, 1))
    for cell in cells:
        found = selectors.select(
            POOL.reward_codes, POOL.reward_labels, cell.n_bits, method=cell.method, budget=40, seed=cell.seed
        )
        assert cell.bits == found.bits.tolist()
        assert cell.reward == pytest.approx(reward.of_bits(cell.bits))
        assert cell.test_map == pytest.approx(POOL.test_map(cell.bits))
        assert cell.calls == found.calls <= 40


def test_a_cell_of_a_pool_with_decided_queries_names_candidates_and_is_rewarded_and_tested_by_them():
    """Only some of the candidates are searched among, so that a cell's bits are ids and no places among these."""
    rng, ids = np.random.default_rng(3), np.array([1, 2, 4, 5, 7, 9])
    queries = rng.integers(0, 2, POOL.reward_codes.shape, dtype=np.uint8)
    asked = rng.integers(0, 2, POOL.query_codes.shape, dtype=np.uint8)
    pool = replace(POOL, ids=ids, reward_queries=queries, decided_codes=asked)
    cell = grid.run_cell(pool, "exhaustive", 3, 0, None)
    assert (cell.calls, {*cell.bits} <= {*ids}) == (20, True)
    reward = Reward(POOL.reward_codes, POOL.reward_labels, query_codes=queries)
    assert cell.reward == pytest.approx(max(reward.of_bits(bits) for bits in itertools.combinations(ids, 3)))
    assert cell.reward == pytest.approx(reward.of_bits(cell.bits))
    codes = asked[:, cell.bits], POOL.database_codes[:, cell.bits]
    test = metrics.mean_average_precision(*codes, POOL.query_labels, POOL.database_labels)
    assert cell.test_map == pytest.approx(test)


@pytest.mark.process
@pytest.mark.parametrize(("workers", "dask"), [(1, False), (2, True)])
def test_the_number_of_workers_and_their_kind_change_nothing(cells, tmp_path, workers, dask, monkeypatch):
    monkeypatch.setattr(Where, "with_dask", dask)
    found = grid.run_grid([POOL], workers=workers, folder=tmp_path, **SMALL)
    assert without_seconds(found) == without_seconds(cells)


@pytest.mark.usefixtures("without_workers")
def test_finished_cells_are_not_made_again_and_missing_ones_are(cells, folder, tmp_path, capsys):
    path = tmp_path / "synthetic-b40.json"
    record = json.loads((folder / path.name).read_text())
    lost = record["cells"].pop(3)
    record["cells"][0]["seconds"] = 123.0  # no run of this takes so long: it is recognized
    path.write_text(json.dumps(record))
    again = grid.run_grid([POOL], folder=tmp_path, **SMALL)
    assert without_seconds(again) == without_seconds(cells)
    assert [cell.seconds for cell in again].count(123.0) == 1
    assert f"loaded {path}" in capsys.readouterr().out
    kept = json.loads(path.read_text())["cells"]
    assert sum(cell["bits"] == lost["bits"] for cell in kept) >= 1
    assert len(kept) == len(cells)


@pytest.mark.process
@pytest.mark.usefixtures("without_dask")
def test_a_run_that_ends_early_leaves_the_cells_that_were_finished(tmp_path):
    broken = replace(synthetic("broken"), query_labels=POOL.query_labels[:3])  # fails at the test of its first cell
    with pytest.raises(ValueError, match="query_codes has 15 rows and query_labels 3"):
        grid.run_grid([POOL, broken], workers=1, folder=tmp_path, **SMALL)
    left = json.loads((tmp_path / "synthetic-b40.json").read_text())["cells"]
    assert len(left) == len(grid.planned(METHODS, (2, 4), (0, 1)))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hashlib_nb.experiments import grid
from tests.experiments.test_grid import POOL, SMALL
if __name__ == "__main__":
    grid.run_grid([POOL], workers=1, folder=Path(sys.argv[2]), **SMALL | {"seeds": range(500)})
"""


@pytest.mark.process
def test_a_killed_run_keeps_its_cells_and_leaves_no_process_behind(tmp_path):
    """Dask's processes, which have no thread of ours that watches the parent."""
    script, path = tmp_path / "killed.py", tmp_path / "synthetic-b40.json"
    script.write_text(KILLED)
    run = subprocess.Popen([sys.executable, script, ROOT, tmp_path], stdout=subprocess.PIPE)
    while not path.exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.kill()
    run.communicate(timeout=60)  # returns when nobody holds the pipe any more, workers included
    left = json.loads(path.read_text())["cells"]
    assert 0 < len(left) < len(grid.planned(METHODS, (2, 4), range(500)))
    few = SMALL | {"methods": (left[0]["method"],), "lengths": (left[0]["n_bits"],), "seeds": (left[0]["seed"],)}
    again = grid.run_grid([POOL], workers=1, folder=tmp_path, **few)
    assert [cell.seconds for cell in again] == [left[0]["seconds"]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[: len(text) // 2], "cannot be used"),
        (lambda text: text.replace('"reward"', '"prize"'), "cannot be used"),
        (lambda text: text.replace('"budget": 40', '"budget": 41'), "made from other codes"),
    ],
    ids=["truncated", "foreign", "other settings"],
)
@pytest.mark.usefixtures("without_workers")
def test_cells_that_cannot_be_used_are_named_and_made_anew(cells, folder, tmp_path, capsys, spoil, message):
    path = tmp_path / "synthetic-b40.json"
    path.write_text(spoil((folder / path.name).read_text()))
    few = SMALL | {"methods": ("random",), "lengths": (2,)}
    again = grid.run_grid([POOL], folder=tmp_path, **few)
    assert message in capsys.readouterr().out
    assert without_seconds(again) == without_seconds([c for c in cells if (c.method, c.n_bits) == ("random", 2)])


@pytest.mark.usefixtures("without_workers")
def test_cells_of_a_method_whose_settings_have_changed_are_made_anew(tmp_path, capsys):
    few = SMALL | {"methods": ("cem", "random")}
    grid.run_grid([POOL], folder=tmp_path, **few)
    path = tmp_path / "synthetic-b40.json"
    record = json.loads(path.read_text())
    assert record["methods"] == {"cem": {"size": None, "elite": 0.2, "smoothing": 0.3}, "random": {}}
    record["methods"]["cem"]["elite"] = 0.5
    for cell in record["cells"]:
        cell["seconds"] = 123.0
    path.write_text(json.dumps(record))
    again = grid.run_grid([POOL], folder=tmp_path, **few)
    assert {cell.method: cell.seconds == 123.0 for cell in again} == {"cem": False, "random": True}
    assert "has cells of cem with other settings; they are made anew" in capsys.readouterr().out
    assert json.loads(path.read_text())["methods"]["cem"]["elite"] == 0.2


@pytest.mark.usefixtures("without_workers")
def test_the_file_says_what_the_last_run_says_of_itself(tmp_path, without_workers):
    few = SMALL | {"methods": ("first",)}
    for about in ({"command": "one"}, {"command": "another"}):
        made = grid.run_grid([POOL], folder=tmp_path, about=about, **few)
        few |= {"methods": ("first", "random")}
    record = json.loads((tmp_path / "synthetic-b40.json").read_text(encoding="utf-8"))
    assert record["command"] == "another"
    assert len(record["cells"]) == len(made) == 6


def test_other_codes_under_the_same_name_are_not_mistaken_for_these(cells, folder, capsys):
    before = (folder / "synthetic-b40.json").read_bytes()
    grid.run_grid([synthetic(seed=1)], folder=folder, **SMALL | {"methods": ("random",)})
    assert "made from other codes" in capsys.readouterr().out
    (folder / "synthetic-b40.json").write_bytes(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("best",)}, "methods has 'best'; there are ppo, untrained"),
        ({"lengths": (2, 10)}, r"lengths is \[2, 10\]; pool synthetic has 10 bits: keep 1 to 9"),
        ({"lengths": (0,)}, "lengths is 0; give a whole number of at least 1"),
        ({"lengths": ()}, r"lengths is \[\]; give different whole numbers"),
        ({"seeds": (1.5,)}, r"seeds is 1\.5; give a whole number from 0"),
        ({"workers": 0}, r"workers is 0; give a whole number in 1\.\.256"),
        ({"budget": -3}, "budget is -3; give a whole number in 1"),
        ({"pools": [POOL, POOL]}, "give each its own name"),
        ({"budget": None}, "budget is None, but method 'random_search' never ends by itself"),
    ],
)
def test_what_cannot_be_run_is_named_before_any_work(tmp_path, change, message):
    arguments = {"pools": [POOL], "folder": tmp_path / "cells", **SMALL, **change}
    with pytest.raises(ValueError, match=message):
        grid.run_grid(arguments.pop("pools"), **arguments)
    assert not (tmp_path / "cells").exists()


def cell(method: str, seed: int, reward: float, test_map: float, best=(0.1,), calls=(1,)) -> Cell:
    history = {"calls": [*calls, 100], "seconds": [*(c / 10 for c in calls), 10.0], "best": [*best, reward]}
    return Cell("pool", method, 4, seed, [0, 1, 2, 3], reward, test_map, 100, 10.0, history)


def test_best_at_is_the_best_within_the_cost():
    one = cell("ppo", 0, 0.9, 0, best=(0.2, 0.5), calls=(3, 20))
    assert [one.best_at(calls) for calls in (3, 19, 20, 99, 100, 1000)] == [0.2, 0.2, 0.5, 0.5, 0.9, 0.9]
    assert np.isnan(one.best_at(2))
    assert one.best_at(2.0, of="seconds") == 0.5


def test_curve_is_best_at_of_every_seed_and_of_the_method_alone():
    cells = [cell("ppo", 0, 0.9, 0, best=(0.2,)), cell("ppo", 1, 0.8, 0, best=(0.3,)), cell("swap", 0, 0.7, 0)]
    np.testing.assert_allclose(grid.curve(cells, "pool", 4, "ppo", [1, 50, 100]), [[0.2, 0.2, 0.9], [0.3, 0.3, 0.8]])


def test_table_and_frame_say_what_the_cells_say(cells):
    rows = grid.frame(cells)
    assert len(rows) == len(cells)
    for measure in ("reward", "test_map", "calls"):
        table = grid.table(cells, measure)
        for n_bits in (2, 4):
            for method in METHODS:
                mine = [getattr(c, measure) for c in cells if (c.method, c.n_bits) == (method, n_bits)]
                shown = table.loc[selectors.METHODS[method].title, ("synthetic", n_bits)]
                assert shown == pytest.approx(np.mean(mine))
    assert list(table.index) == [selectors.METHODS[method].title for method in METHODS]


# --- the file of cells ------------------------------------------------------------------------------------------------


def test_two_runs_that_add_to_one_file_keep_each_others_cells(cells, tmp_path):
    path = tmp_path / "synthetic-b40.json"
    stores = [grid._Store(path, POOL, 40) for _ in range(2)]
    for number, made in enumerate(cells[:6]):
        stores[number % 2].add(made)
    assert grid._Store(path, POOL, 40).cells.keys() == {made.key for made in cells[:6]}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


CELL_EDITS = [
    ("method", "best"), ("method", None), ("seed", -1), ("seed", "a"), ("n_bits", 3), ("n_bits", None),
    ("bits", [1, 1]), ("bits", None), ("bits", ["a", "b"]), ("bits", {}), ("reward", "high"), ("reward", None),
    ("test_map", [1]), ("seconds", None), ("calls", 1.5), ("history", {}), ("history", []), ("history", {"calls": [1]}),
    ("history", {"calls": [1], "seconds": [1], "best": ["a"]}), ("pool", "another"), ("unknown", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CELL_EDITS)
def test_cells_that_no_search_leaves_are_named_and_made_anew(cells, folder, tmp_path, capsys, name, value):
    path = tmp_path / "synthetic-b40.json"
    record = json.loads((folder / path.name).read_text())
    record["cells"][0][name] = value
    path.write_text(json.dumps(record))
    assert grid._Store(path, POOL, 40).cells == {}
    (line,) = capsys.readouterr().out.splitlines()
    assert "synthetic-b40.json cannot be used (" in line
