"""What is planned is what a run does: fits, steps, pictures and searches are counted while tiny ones are made."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts, datasets, selection
from hashlib_nb.datasets import Splits, split_by_class
from hashlib_nb.encoder import SMALL, Encoder, Settings, Setup, fitting, image_codes, training
from hashlib_nb.encoder import __main__ as encoder_command
from hashlib_nb.experiments import comparison, plan, published, questions, results

QUICK = Settings(arch="alexnet_small", epochs=2)
FROZEN = Settings(arch="efficientnet_lite0_frozen", size=32, weights="random", epochs=2)
VIEWS = replace(QUICK, recipe=replace(SMALL, distort=True, views=True))
ARGS = results.Args(
    code_length=8, lengths=(3, 8), seeds=(0, 1), total_episodes=32, subsets=1, folds=3, mirrored=True,
    settings=replace(QUICK, epochs=12),
)  # fmt: skip


def tiny_splits(name: str = "tiny", *, root=None) -> Splits:
    rng = np.random.default_rng(0)
    likeness = rng.integers(0, 128, (3, 32, 32, 1))  # of each class: else no two of its candidates would differ
    images = (likeness[np.arange(79) % 3] + rng.integers(0, 128, (79, 32, 32, 1))).astype(np.uint8)
    about = {"query_per_class": 3, "train_per_class": 16, "seed": 0, "name": name}
    return split_by_class(images, np.arange(79) % 3, ("a", "b", "c"), **about)


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "load", tiny_splits)
    return tmp_path


@pytest.fixture
def counted(monkeypatch) -> dict[str, int]:
    """How often things are done from here on: fits, steps, pictures, searches."""
    found = dict.fromkeys(("fits", "steps", "pictures", "searches"), 0)

    def count(module, name: str, what: str, many=lambda *args: 1) -> None:
        original = getattr(module, name)

        def spy(*args, **kwargs):
            found[what] += many(*args)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, spy)

    for module in (fitting, image_codes):  # of folds, and of the encoder itself
        count(module, "fit", "fits")
    count(training.Training, "_step", "steps")
    count(Encoder, "outputs", "pictures", lambda _, images, *rest: len(images))
    count(selection, "load_or_make", "searches")
    return found


def test_a_table_fits_encodes_and_searches_what_was_planned(counted):
    wanted = results.planned(ARGS)
    asked = {
        "fits": wanted.fits,
        "pictures": wanted.pictures,
        "steps": sum(plan.steps(setup, tiny_splits()) for setup in wanted.codes),
    }
    assert wanted.fits == len(ARGS.seeds) * (1 + 3 + 1)  # k outputs, their folds, and one for 3 bits
    assert len(wanted.missing_searches) == len(ARGS.seeds) * 2 * (1 + 2 + 2)
    results.make_rows(ARGS)
    assert {name: counted[name] for name in asked} == asked
    assert counted["searches"] == len(wanted.searches) + len(ARGS.seeds) * len(ARGS.lengths)  # the oracles' beside
    left = results.planned(ARGS)
    assert (left.fits, left.pictures, left.missing_searches) == (0, 0, [])


@pytest.mark.parametrize(
    "settings", [QUICK, FROZEN, VIEWS, replace(VIEWS, outputs="labels")], ids=["tuned", "frozen", "views", "labels"]
)
@pytest.mark.parametrize("folds", [0, 2])
def test_codes_of_a_key_take_the_planned_steps_and_pictures(settings, folds, counted):
    setup = Setup("fashion-mini", code_length=8, folds=folds, settings=settings)
    wanted = plan.of_setups([setup], mirrored=[setup])
    asked = {"fits": 1 + folds, "steps": plan.steps(setup, setup.splits), "pictures": wanted.pictures}
    setup.mirrored()
    assert {name: counted[name] for name in asked} == asked
    again = Setup("fashion-mini", code_length=8, folds=folds, settings=settings)
    left = plan.of_setups([again], mirrored=[again])
    assert (left.fits, left.pictures) == (0, 0)


def test_features_are_counted_once_for_all_seeds_and_lengths(counted):
    setups = [
        Setup("fashion-mini", code_length=k, seed=seed, folds=0, settings=FROZEN) for k in (4, 8) for seed in (0, 1)
    ]
    pictures = plan.of_setups(setups).pictures
    assert pictures == 79 + 48  # the training pictures have a mirrored view
    for setup in setups:
        setup.codes()
    assert counted["pictures"] == pictures


def test_a_key_that_several_tables_want_is_planned_once():
    one, other = results.planned(ARGS), results.planned(replace(ARGS, seeds=(1, 2), direct=False))
    both = one + other
    assert {setup.folder for setup in both.codes} == {setup.folder for setup in one.codes + other.codes}
    assert both.fits == one.fits + 4


def test_reference_codes_are_never_missing():
    own, reference = (Setup(source=source) for source in ("own", "reference"))
    assert own.folder != reference.folder
    assert plan.of_setups([reference]).fits == 0
    wanted = results.planned(results.Args(codes="reference", lengths=(8,), seeds=(0,)))
    assert [setup.code_length for setup in wanted.missing] == [8]  # the row "direct"


def test_disk_is_near_what_lies_there_afterwards(tiny):
    setup = Setup("fashion-mini", code_length=64, folds=2, settings=QUICK)
    planned = plan.codes_bytes(setup, setup.splits)
    setup.codes()
    assert (setup.folder / artifacts.CODES).stat().st_size == pytest.approx(planned, rel=0.3)
    weights = (setup.folder / "encoder.safetensors").stat().st_size
    assert plan.measure(setup, setup.splits).encoder == pytest.approx(weights, rel=0.05)


def test_what_is_measured_is_positive_and_leaves_nothing(tiny):
    for settings in (replace(QUICK, size=64), FROZEN):
        speed = plan.measure(Setup("fashion-mini", code_length=8, settings=settings), tiny_splits())
        assert speed.step >= 0
        assert speed.picture > 0
        assert (speed.width > 0) == (settings is FROZEN)
    assert [*tiny.iterdir()] == []


def test_longer_searches_take_longer():
    pool = ARGS.kinds["decided "]
    setup = ARGS.setup(0)
    short, long = (plan.Search(setup, "ppo", 3, pool, episodes) for episodes in (1000, 100_000))
    labels = tiny_splits().train.labels
    assert 0 < plan.search_seconds(short, labels) < plan.search_seconds(long, labels)


def test_pictures_are_read_once_for_all_keys_of_the_same_ones(monkeypatch):
    reads = []
    monkeypatch.setattr(datasets, "load", lambda *args, **kwargs: reads.append(args) or tiny_splits(*args, **kwargs))
    assert [*plan.lines(results.planned(ARGS))]
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("module", "args"),
    [
        (results, replace(ARGS, plan=True)),
        (questions, questions.Args(code_length=8, lengths=(4, 8), seeds=(0,), settings=QUICK, plan=True)),
        (comparison, comparison.Args(pools=("64", "lsh-512"), settings=Settings(epochs=1), plan=True)),
        (published, published.Args(only=("fashion-mini",), plan=True)),
        (encoder_command, encoder_command.Args(code_length=8, settings=QUICK, plan=True)),
    ],
    ids=["results", "questions", "comparison", "published", "encoder"],
)
def test_a_command_says_its_plan_and_makes_nothing(module, args, tiny, monkeypatch, capsys):
    monkeypatch.setattr(published, "TABLES", {"fashion-mini": ARGS})
    module.main(args)
    said = capsys.readouterr().out
    assert re.search(r"^fits: \d+ of \d+$", said, re.MULTILINE)
    assert re.search(r"^about \S+ CPU hours: fits .*encodings", said, re.MULTILINE)
    assert re.search(r"^about [\d,]+ MB of disk$", said, re.MULTILINE)
    assert "searches: " in said or module is encoder_command
    assert "measured here and now, with random weights: alexnet_small" in said
    assert [path for path in Path(tiny).rglob("*") if path.is_file()] == []


def test_a_seed_in_the_file_of_a_table_that_was_cut_off_is_not_planned(tiny, monkeypatch):
    args = replace(ARGS, out=tiny / "table.json", direct=False)
    monkeypatch.setattr(results, "finished", lambda _: [({"split": 0, "seed": 0}, [])])
    assert results.planned(args).fits == 4
