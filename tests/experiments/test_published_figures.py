"""Figures of stored tables show what the tables hold, and pictures beside a query are the nearest ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashlib_nb import artifacts, candidates, hamming, metrics, plots
from hashlib_nb.experiments import published, published_figures, published_page
from tests.experiments.test_published import TINY
from tests.helpers import ROOT

DRAWN = [name for name in (*published_page.CURVES, "fashion-mini") if (ROOT / "results" / f"{name}.json").exists()]


@pytest.mark.parametrize("name", DRAWN)
def test_lines_are_the_stored_scores(name, monkeypatch):
    record, seen = artifacts.load_json(ROOT / "results" / f"{name}.json"), []
    monkeypatch.setattr(plots, "map_by_length", lambda *given: seen.extend(given))
    published_figures.map_by_length(record)
    lengths, lines, levels, _, chance = seen
    seeds = sorted({row["seed"] for row in record["rows"]})
    for row in record["rows"]:
        if row["method"] in lines:
            assert lines[row["method"]][seeds.index(row["seed"]), lengths.index(row["bits"])] == row["map"]
    for method in ("all bits", "ceiling"):
        assert levels[method] == pytest.approx(np.mean([r["map"] for r in record["rows"] if r["method"] == method]))
    assert 0 < chance < min(levels.values())
    assert {"decided greedy", "greedy", "direct"} <= {*lines}


@pytest.mark.slow
def test_pictures_beside_a_query_are_nearest_and_the_queries_best_and_worst(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    seen = []
    monkeypatch.setattr(plots, "top_matches", lambda *given: seen.extend(given))
    setup = replace(TINY, thermometer=True).setup(seed=0)
    published_figures.nearest_pictures(setup)
    queries, found, right, titles, captions = seen
    data, options = setup.splits, candidates.Options()
    pool = setup.candidates(options)
    query, database = pool.test_codes(setup.select("greedy", published_figures.BITS, options).bits)
    scores = metrics.average_precision(query, database, data.query.labels, data.database.labels)
    rows = [int(np.flatnonzero((data.query.images == each).all(axis=(1, 2, 3)))[0]) for each in queries]
    assert [titles[place].endswith(f"AP {scores[row]:.2f}") for place, row in enumerate(rows)] == [True] * 4
    assert scores[rows[0]] == np.nanmax(scores)
    assert scores[rows[2]] == np.nanmin(scores)
    assert (data.query.labels[rows[0]] != data.query.labels[rows[1]]).any()
    far = hamming.distances(query[rows], database)
    for place, row in enumerate(rows):
        least = np.sort(far[place])[: published_figures.FOUND]
        for rank, distance in enumerate(least):
            ties = (far[place] == distance).sum()
            assert captions[place][rank].endswith(f"at {distance} bit{'' if distance == 1 else 's'}, {ties} tied")
            same = (data.database.images == found[place, rank]).all(axis=(1, 2, 3))
            assert distance in far[place][same]
            label = data.query.labels[row] & data.database.labels[np.flatnonzero(same)[0]]
            assert right[place, rank] == label.any()


def test_names_are_few():
    names = ["ant", "bee", "cat", "dog"]
    said = [published_figures._named(np.array(labels), names) for labels in np.tril(np.ones((5, 4), int), -1)]
    assert said == ["no label", "ant", "ant, bee", "ant and 2 more", "ant and 3 more"]


def test_every_figure_that_the_page_shows_is_of_a_table_and_there():
    assert {*published_page.CURVES, *published.PICTURES} <= {*published.TABLES}
    assert {*published_page.FREE} <= {*published.PICTURES}
    shown = [published_page.figure_name(name, "map_by_length") for name in published_page.CURVES]
    shown += [published_page.figure_name(name, "nearest") for name in published_page.FREE]
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for name in shown:
        assert f"../figures/{name}.png)" in page
        assert (ROOT / "figures" / f"{name}.png").exists()
