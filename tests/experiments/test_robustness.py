"""The command: it measures what the room says, goes on from its files, and judges a choice on pictures apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import artifacts, perceptual
from hashlib_nb.experiments import plan, robustness
from hashlib_nb.experiments.robustness import Args
from tests.helpers import hide_packages

ARGS = Args(pictures=8, size=32, hashes=("phash", "pdq"), n_bits=16, methods=("greedy", "first"), rate=0.05)
"""Small, and without a folder."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def record(home):
    return robustness.make_record(ARGS)


def test_a_row_is_what_the_room_measures(record):
    images = perceptual.sample(8, 32)[0]
    copies = [attack(image, row) for row, image in enumerate(images) for attack in perceptual.ATTACKS]
    for row in record["rows"]:
        codes = [perceptual.hash_pictures(row["hash"], each) for each in (images, copies)]
        far = perceptual.distances_of(*codes, np.repeat(np.arange(8), len(perceptual.ATTACKS)))
        assert row["equal_error_rate"] == far.equal_error_rate
        assert row["recall"] == far.recall_at_rate(0.05)
        assert row["uniqueness"]["collisions"] == perceptual.uniqueness(codes[0]).collisions
        assert row["compactness"] == images[0].nbytes * 8 / 256
        hits = np.mean([about["recall"] for about in row["attacks"].values()])
        assert hits == pytest.approx(far.hits(row["radius"]) / far.copies)


def test_bits_are_chosen_on_one_half_and_reported_on_the_other(record):
    found = record["chosen"]
    assert (found["chosen_on"], found["reported_on"]) == (4, 4)
    rows = {row["title"]: row for row in found["rows"]}
    assert rows["first p"]["kept"] == [*range(16)]
    codes = robustness.Coder(ARGS).codes()["pdq"]
    order = np.random.default_rng(0).permutation(8)
    mine, theirs = (codes[np.sort(half)] for half in (order[:4], order[4:]))
    for title in ("greedy", "first p"):
        bits = rows[title]["kept"]
        reward = perceptual.distances_of(*robustness.flat(mine[:, :, bits])).recall_at_rate(0.05)
        assert rows[title]["reward"] == pytest.approx(reward)
        assert rows[title]["recall"] == perceptual.distances_of(*robustness.flat(theirs[:, :, bits])).recall_at_rate(
            0.05
        )
    assert rows["greedy"]["reward"] >= max(rows["first p"]["reward"], rows["random"]["reward"])


def test_a_pictures_share_is_that_of_its_copies_and_their_mean_the_recall(home):
    """The radius lies between two whole distances; a rate that is one of the curve's own makes it a whole one."""
    codes = robustness.Coder(ARGS).codes()["phash"]
    far = perceptual.distances_of(*robustness.flat(codes))
    apart = (codes[:, :1] != codes[:, 1:]).sum(axis=2)
    rates = far.false_positive_rate[far.false_positive_rate > 0]
    for rate in (0.03, 0.2, *rates[:3]):
        shares = robustness.found_by_picture(codes, far, rate)
        assert shares.mean() == pytest.approx(far.recall_at_rate(rate))
        radius = far.radius_at_rate(rate)
        assert ((apart <= radius).mean(axis=1) <= shares).all()
        assert (shares <= (apart <= radius + 1).mean(axis=1)).all()
    assert shares == pytest.approx((apart <= radius).mean(axis=1))


def test_intervals_are_over_pictures_and_hold_what_they_are_of(record):
    all_bits, by_chance, *kept = record["chosen"]["rows"]
    for row in (all_bits, *kept):
        low, high = row["recall_interval"]
        assert low <= row["recall"] <= high
    for row in kept:
        low, high = row["beyond_random"]
        assert low <= row["recall"] - by_chance["recall"] <= high
    text = "\n".join(robustness.markdown(artifacts.load_json(ARGS.path)))
    low, high = all_bits["recall_interval"]
    assert f"{100 * low:.1f} to {100 * high:.1f}" in text


def test_without_the_package_of_pdq_there_is_one_sentence_and_the_other_hashes(home, monkeypatch):
    hide_packages(monkeypatch, "pdqhash")
    monkeypatch.setattr(robustness, "version", lambda name: pytest.fail(name) if name == "pdqhash" else "1")
    wanted = "^PDQ needs the package pdqhash: python -m pip install 'pdqhash>=0.2.7,<1'$"
    with pytest.raises(ValueError, match=wanted):
        robustness.Coder(ARGS)
    with pytest.raises(ValueError, match=wanted):
        perceptual.pdq_quality(np.zeros((64, 64, 3), np.uint8))
    coder = robustness.Coder(replace(ARGS, hashes=("phash",), n_bits=0))
    assert "pdqhash" not in coder.settings["versions"]
    assert coder.code(slice(0, 1))["phash"].shape == (1, 1 + len(perceptual.ATTACKS), 256)


def test_it_goes_on_from_its_files_and_says_the_same(record, monkeypatch, capsys):
    coder = robustness.Coder(ARGS)
    (_, path), = coder.files()  # fmt: skip
    assert path.exists()
    monkeypatch.setattr(robustness.Coder, "code", lambda *_: pytest.fail("coded again"))
    again = robustness.make_record(ARGS)
    assert again["rows"] == record["rows"]
    assert "loaded" in capsys.readouterr().out
    assert artifacts.load_json(ARGS.path)["rows"] == again["rows"]


def test_other_pictures_seeds_and_hashes_have_files_of_their_own(home):
    folders = {robustness.Coder(each).folder for each in (
        ARGS, replace(ARGS, pictures=9), replace(ARGS, size=33), replace(ARGS, seed=1), replace(ARGS, hashes=("pdq",)),
    )}  # fmt: skip
    assert len(folders) == 5
    assert robustness.Coder(replace(ARGS, budget=7, n_bits=3)).folder in folders


def test_pictures_are_drawn_from_a_folder_once_each_and_the_same_for_a_seed(tmp_path):
    for number in range(6):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 50, 3), 40 * number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "notes.txt").write_text("nothing")
    some = robustness.drawn(replace(ARGS, root=tmp_path, pictures=4))
    assert len({*some.names}) == 4
    assert some.shape == (4, 32, 32, 3)
    assert some.names == robustness.drawn(replace(ARGS, root=tmp_path, pictures=4)).names
    assert len(robustness.drawn(replace(ARGS, root=tmp_path, pictures=500))) == 6


def test_the_table_has_every_hash_family_and_choice(record):
    text = "\n".join(robustness.markdown(artifacts.load_json(ARGS.path)))
    for word in ("pHash", "PDQ", "greedy", "random", *perceptual.TABLE):
        assert word in text
    assert robustness.families(record) == [*perceptual.TABLE]
    without = record | {"chosen": None}
    assert "reward" not in "\n".join(robustness.markdown(without))


def test_another_key_changes_half_of_the_bits(record):
    about = record["key_sensitivity"]
    assert 0.25 < about["least"] < about["mean"] < about["most"] < 0.75
    assert about["mean"] == pytest.approx(0.5, abs=0.03)


def test_a_plan_counts_what_is_missing_and_makes_nothing(record, capsys):
    for args, missing in ((ARGS, 0), (replace(ARGS, seed=5), 8)):
        plan.show(robustness.planned(args))
        assert f"{missing} of 8 pictures to hash, {len(perceptual.ATTACKS)} copies of each" in capsys.readouterr().out
    assert not robustness.Coder(replace(ARGS, seed=5)).folder.exists()


@pytest.mark.slow
def test_an_encoders_codes_get_a_row(home, tmp_path):
    from hashlib_nb import encoder

    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    targets = np.random.default_rng(1).integers(0, 2, (8, 12), dtype=np.uint8)
    encoder.fit(images, targets, arch="alexnet_small", epochs=1, progress=False).save(tmp_path / "model")
    args = replace(ARGS, hashes=("phash",), n_bits=0, model=tmp_path / "model", out=tmp_path / "r.json")
    *_, learned = robustness.make_record(args)["rows"]
    assert (learned["title"], learned["bits"]) == ("learned codes", 12)
    coder = robustness.Coder(args)
    assert (coder.codes()["learned"][:, 0] == coder.encoder.encode(coder.images)).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pictures": 3}, "^pictures is 3"), ({"size": 8}, "^size is 8"), ({"n_bits": 256}, "^n_bits is 256"),
        ({"hashes": ()}, r"^hashes is \[\]"), ({"hashes": ("md5",)}, "^hashes is .*ahash"), ({"rate": 0}, "^rate is 0"),
        ({"hashes": ("phash", "phash")}, "^hashes is"), ({"methods": ("best",)}, "^methods is .*ppo"),
        ({"hashes": ("phash",)}, "^n_bits is 16 and hashes lacks pdq"), ({"precision": 1.5}, "^precision is 1.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_work(given, words):
    with pytest.raises(ValueError, match=words):
        replace(ARGS, **given)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^root: .* has 0 pictures; give at least 4"):
        robustness.drawn(replace(ARGS, root=tmp_path))
    with pytest.raises(FileNotFoundError, match="^root: .* is no folder"):
        robustness.drawn(replace(ARGS, root=tmp_path / "gone"))
