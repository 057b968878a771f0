"""An encoder's folder: two files and the codes that belong together, whatever was killed, edited, removed, swapped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.encoder import Encoder, fit
from hashlib_nb.encoder.training import Training
from tests.encoder.test_fitting import IMAGES, QUICK, TARGETS, encode_all
from tests.helpers import ONE_THREAD, assert_same, start_python

ONE_EPOCH = {"epochs": 1, "folds": 0}
EDITED = {"arch", "bits", "size", "mean", "std", "head", "history", "weights"}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return fit(IMAGES, TARGETS, **QUICK | {"epochs": 1})


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    encoder.save(folder)
    return folder


@pytest.fixture
def trained(monkeypatch) -> list:
    """A list that gets one entry for each epoch that is trained."""
    epochs, train = [], Training.train_one_epoch
    monkeypatch.setattr(Training, "train_one_epoch", lambda self: (epochs.append(1), train(self))[1])
    return epochs


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_both_files_have_the_permissions_of_any_new_file(saved):
    (saved / "other").touch()
    expected = stat.S_IMODE((saved / "other").stat().st_mode)
    (saved / "other").unlink()
    assert {stat.S_IMODE(path.stat().st_mode) for path in saved.iterdir()} == {expected}
    assert names(saved) == ["encoder.json", "encoder.safetensors"]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=2)), max_size=4),
    st.dictionaries(st.sampled_from(["hidden", "dropout", "batch_norm", "loss", "x"]), st.integers(-9, 10**9)),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(field=st.sampled_from(sorted(EDITED)), value=JUNK, drop=st.booleans())
def test_an_edited_description_is_used_as_it_was_or_named(encoder, saved, tmp_path_factory, field, value, drop):
    folder = tmp_path_factory.getbasetemp() / "edited"
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    about = json.loads((folder / "encoder.json").read_text())
    before = about.pop(field)
    if not drop:
        about[field] = value
    (folder / "encoder.json").write_text(json.dumps(about))
    loaded, said = None, ""
    try:
        loaded = Encoder.load(folder, device="cpu")
    except ArtifactError as error:
        said = str(error)
    if loaded is None:
        assert "encoder." in said
        assert len(said.splitlines()) == 1
        return
    # What is taken describes an encoder all the same: of another size or scaling, or with other curves.
    assert field in ("size", "mean", "std", "history", "weights", "head") or value == before
    assert loaded.encode(IMAGES[:2]).shape == encoder.encode(IMAGES[:2]).shape


def test_weights_of_another_training_are_named(encoder, saved, tmp_path):
    fit(IMAGES, TARGETS, **QUICK | {"epochs": 1, "seed": 1}).save(tmp_path)
    shutil.copy(saved / "encoder.safetensors", tmp_path)
    with pytest.raises(ArtifactError, match=r"encoder.safetensors is missing or damaged \(its content is not what enc"):
        Encoder.load(tmp_path, device="cpu")


def test_an_encoder_of_version_0_1_whose_description_has_no_digest_is_loaded(encoder, saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    about = json.loads((tmp_path / "encoder.json").read_text())
    del about["weights"], about["head"]
    (tmp_path / "encoder.json").write_text(json.dumps(about))
    assert_same(Encoder.load(tmp_path, device="cpu"), encoder)


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_pipes_are_no_encoder_and_are_not_waited_for(saved, tmp_path, name):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ArtifactError, match="is a pipe"):
        Encoder.load(tmp_path, device="cpu")


def test_files_of_other_programs_are_left(encoder, tmp_path):
    save_file({"w": np.zeros(3)}, tmp_path / "encoder.safetensors")
    before = (tmp_path / "encoder.safetensors").read_bytes()
    for call in (lambda: encoder.save(tmp_path), lambda: encode_all(tmp_path, **ONE_EPOCH)):
        with pytest.raises(ValueError, match="encoder.safetensors is there and was not written by this command"):
            call()
    assert names(tmp_path) == ["encoder.safetensors"]
    assert (tmp_path / "encoder.safetensors").read_bytes() == before


def test_checkpoints_of_other_programs_are_left(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    mine = tmp_path / "checkpoints" / "best.pt"
    mine.write_bytes(b"a week of work")
    encode_all(tmp_path, **ONE_EPOCH)
    assert mine.read_bytes() == b"a week of work"
    assert names(mine.parent) == ["best.pt"]


def test_two_encoders_are_saved_one_after_the_other(encoder, saved, tmp_path):
    """The second replaces both files of the first."""
    fit(IMAGES, TARGETS, **QUICK | {"epochs": 1, "seed": 1}).save(tmp_path)
    encoder.save(tmp_path)
    assert_same(Encoder.load(tmp_path, device="cpu"), encoder)
    for name in names(saved):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


# --- beside codes.npz -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, encode_all(folder, **ONE_EPOCH)


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


SPOILED = {
    "no weights": lambda folder: (folder / "encoder.safetensors").unlink(),
    "no description": lambda folder: (folder / "encoder.json").unlink(),
    "neither": lambda folder: [(folder / name).unlink() for name in ("encoder.json", "encoder.safetensors")],
    "no codes": lambda folder: (folder / "codes.npz").unlink(),
    "empty weights": lambda folder: (folder / "encoder.safetensors").write_bytes(b""),
    "empty description": lambda folder: (folder / "encoder.json").write_bytes(b""),
    "changed weights": lambda folder: change(folder / "encoder.safetensors"),
    "half a description": lambda folder: (folder / "encoder.json").write_text('{"arch": "alexnet_small"'),
    "empty codes": lambda folder: (folder / "codes.npz").write_bytes(b""),
    "another training's encoder": lambda folder: fit(IMAGES, TARGETS, **QUICK | {"epochs": 1, "seed": 5}).save(folder),
}


@pytest.mark.parametrize("how", SPOILED)
def test_codes_and_an_encoder_that_do_not_belong_together_are_made_anew(whole, tmp_path, trained, capsys, how):
    folder, codes = whole
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    SPOILED[how](tmp_path)
    trained.clear()
    assert_same(encode_all(tmp_path, **ONE_EPOCH), codes)
    assert "loaded " not in capsys.readouterr().out
    assert trained
    trained.clear()
    assert_same(encode_all(tmp_path, **ONE_EPOCH), codes)
    assert "loaded " in capsys.readouterr().out
    assert not trained
    assert_same(Encoder.load(tmp_path, device="cpu"), Encoder.load(folder, device="cpu"))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.encoder.test_fitting import encode_all
replace, last = os.replace, sys.argv[2]
def die(one, other):
    replace(one, other)
    if os.path.basename(other) == last:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = die
encode_all(Path(sys.argv[1]), epochs=1, folds=0, seed=7)
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("last", ["encoder.json", "encoder.safetensors"])
def test_a_second_training_killed_between_its_files_is_not_taken_for_the_first(whole, tmp_path, trained, last):
    folder, codes = whole
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    done = start_python("-c", KILLED, tmp_path, last, check=False, env=ONE_THREAD)
    assert done.returncode == -signal.SIGKILL, done.stderr
    trained.clear()
    made = encode_all(tmp_path, **ONE_EPOCH)
    assert trained
    assert_same(made, codes)
    np.testing.assert_array_equal(Encoder.load(tmp_path, device="cpu").encode(IMAGES[:9]), made.query)
    assert not [*tmp_path.rglob("*.partial")]
