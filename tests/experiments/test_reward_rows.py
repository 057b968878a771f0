"""Who pays for a choice: judges that nothing was fitted to, rows that pay as they are named, a run that goes on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hashlib_nb import datasets
from hashlib_nb.encoder import SMALL, Settings, bit_cross_entropy, class_cross_entropy
from hashlib_nb.experiments import reward_rows
from hashlib_nb.experiments.reward_rows import Args, Rows, both_cross_entropies, make_rows, summarize
from tests.encoder.test_fitting import pictures

N, JUDGES, HELD = 90, 24, 12
VIEWS = replace(SMALL, batch_size=16, views=True, distort=True, label_smoothing=0.1)
ARGS = Args(
    "tiny",
    code_length=8,
    lengths=(2, 4),
    judges=JUDGES,
    held_out=(HELD,),
    settings=Settings(arch="alexnet_small", device="cpu", epochs=3, recipe=VIEWS),
)
TRAIN = datasets.Split(pictures(N), np.eye(3, dtype=np.uint8)[np.arange(N) % 3])


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The data set "tiny", of training pictures alone: nothing else may be looked at."""
    monkeypatch.setattr(datasets, "load", lambda *_, **__: SimpleNamespace(train=TRAIN))
    monkeypatch.setattr(datasets, "typed_options", lambda *_: ())
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))


def test_judges_are_drawn_by_the_seed_and_are_nobody_that_is_fitted_to():
    drawn = {seed: Rows.of(ARGS, TRAIN, seed) for seed in (0, 1)}
    for rows in drawn.values():
        assert (len(rows.judge_images), len(rows.images)) == (JUDGES, N - JUDGES)
        both = np.concatenate([rows.judge_images, rows.images]).reshape(N, -1)
        assert np.array_equal(np.unique(both, axis=0), np.unique(TRAIN.images.reshape(N, -1), axis=0))
        assert rows.targets.shape == (N - JUDGES, 8)
    assert not np.array_equal(drawn[0].judge_images, drawn[1].judge_images)


def test_two_losses_are_added_each_of_its_own_outputs_and_smoothed_in_its_own_way():
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(5, 7)))
    targets = torch.tensor(np.hstack([np.eye(3)[rng.integers(0, 3, 5)], rng.integers(0, 2, (5, 4))]))
    plain = both_cross_entropies(3, 0.0)(logits, targets)
    of_labels = class_cross_entropy(logits[:, :3], targets[:, :3])
    torch.testing.assert_close(plain, of_labels + bit_cross_entropy(logits[:, 3:], targets[:, 3:]) / 4)
    smooth = both_cross_entropies(3, 0.1)(logits, targets)
    theirs = torch.nn.functional.cross_entropy(
        logits[:, :3], targets[:, :3].argmax(1), reduction="sum", label_smoothing=0.1
    )
    bits = bit_cross_entropy(logits[:, 3:], 0.9 * targets[:, 3:] + 0.05) / 4
    torch.testing.assert_close(smooth, theirs + bits)


def test_every_fit_says_who_paid_and_a_killed_run_goes_on(tiny, monkeypatch):
    whole, fits = [], []
    make_rows(ARGS, whole, lambda: fits.append(len(whole)))
    assert len(fits) == len(ARGS.fits) == 5
    found = {(row["fit"], row["payers"]): row["rows"] for row in whole}
    n = N - JUDGES
    assert found["labels", "in sample"] == found["bits", "one view"] == found["folds", "two folds"] == n
    assert found["both", "3 views"] == 3 * n
    assert found[f"held {HELD}", f"{HELD} held out"] == HELD
    assert all(0 <= row[measure] <= 1 for row in whole for measure in ("map", "reward", "accuracy"))
    layers = {row["layer"] for row in whole if row["fit"] == "both"}
    assert layers == {"labels of both", "bits of both"}

    begun = [row for row in whole if row["fit"] in ("labels", "bits")]
    trained = []
    real = reward_rows.fitted
    monkeypatch.setattr(reward_rows, "fitted", lambda *given: (trained.append(given[2]), real(*given))[1])
    rest = list(begun)
    make_rows(ARGS, rest)
    assert trained == ["both", f"held {HELD}", "folds"]
    assert rest == whole
    assert len(summarize(whole)) == len(whole)  # one seed: each is its own mean


def test_a_plan_counts_the_pictures_that_each_training_sees():
    n = N - JUDGES
    assert {name: reward_rows.fitted_pictures(ARGS, name, n) for name in ARGS.fits} == {
        "labels": [n], "bits": [n], "both": [n], f"held {HELD}": [n - HELD], "folds": [n // 2, n // 2],
    }  # fmt: skip
    assert reward_rows.missing(ARGS, [{"seed": 0, "fit": "both"}]) == [
        (0, name) for name in ARGS.fits if name != "both"
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lengths": (9,)}, r"lengths is 9; give a whole number in 1\.\.8"),
        ({"judges": 1}, "judges is 1; give a whole number of at least 2"),
        ({"held_out": (5, 5)}, "held_out"),
        ({"settings": Settings(arch="alexnet_small")}, "recipe makes no views of training pictures to compare with"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(ARGS, **change)


@pytest.mark.parametrize(
    ("labels", "change", "sentence"),
    [
        (np.ones((N, 3), np.uint8), {}, "dataset is 'tiny', whose pictures have several labels"),
        (TRAIN.labels, {"judges": 80}, f"judges is 80 and held_out up to {HELD} of {N} training pictures"),
    ],
)
def test_data_that_do_not_do_are_named_before_the_first_fit(labels, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        reward_rows.check(replace(ARGS, **change), replace(TRAIN, labels=labels))


def test_the_table_has_a_line_for_each_layer_and_who_paid():
    row = {"seed": 0, "fit": "labels", "layer": "labels", "payers": "one view", "rows": 66, "kind": "decided"}
    row |= {"candidates": 9, "reward": 0.5, "accuracy": 0.25}
    rows = [row | {"bits": bits, "map": bits / 10} for bits in (2, 4)]
    rows += [each | {"payers": "in sample", "map": 0.1} for each in rows]
    about = {"dataset": "tiny", "arch": "a", "size": 9, "epochs": 3, "judges": 24, "seeds": [0], "lengths": [2, 4]}
    caption, _, *table = reward_rows.markdown({"args": about, "rows": rows})
    assert caption.startswith("**tiny; a at 9 px, 3 epochs.** 24 training pictures judge")
    assert table[2:] == [
        "| labels | one view, 66 rows | 0.200 | 0.400 | 0.250 |",
        "| labels | in sample, 66 rows | 0.100 | 0.100 | 0.250 |",
    ]
