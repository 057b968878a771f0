"""Array files whose header asks for more than they hold are refused before memory is asked for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, Checkpoint

HUGE = [(2**40,), (2**20, 2**20), (10**9, 10**9, 10**9), (1000, 5)]


def npy(shape: tuple[int, ...], content: bytes = b"\0" * 64, dtype: str = "|u1", version: int = 1) -> bytes:
    """An npy file that says it has this shape."""
    file = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": shape}
    (np.lib.format.write_array_header_1_0, np.lib.format.write_array_header_2_0)[version - 1](file, about)
    return file.getvalue() + content


def npz(path: Path, member: bytes, compression: int = zipfile.ZIP_DEFLATED, name: str = "codes.npy") -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, member)
    return path


@pytest.mark.parametrize("shape", HUGE)
@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_asks_for_more_than_the_file_holds_is_refused(tmp_path, shape, version):
    (tmp_path / "x.npy").write_bytes(npy(shape, version=version))
    with pytest.raises(ArtifactError, match=r"x\.npy is truncated or no npy file \(its header asks for \[.*\] uint8"):
        artifacts.load_npy(tmp_path / "x.npy")
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = npz(tmp_path / "x.npz", npy(shape, version=version), compression)
        for read in (artifacts.read_npz, lambda path: artifacts.read_npz(path, ["codes"])):
            with pytest.raises(ArtifactError, match=r"x\.npz is truncated or no npz file \(its header asks for"):
                read(path)
        with pytest.raises(ArtifactError, match="its header asks for"):
            artifacts.read_array(path, "codes")


def test_a_zip_directory_that_lies_is_refused(tmp_path):
    path = npz(tmp_path / "x.npz", npy((2**33,)))
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[22:26], "little")
    start = content.rindex(b"PK\x01\x02")
    assert int.from_bytes(content[start + 24 : start + 28], "little") == size
    content[start + 24 : start + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"codes\.npy in it says that it has 4,294,967,294 bytes, which cannot be"):
        artifacts.read_npz(path)


def test_what_is_no_npy_file_in_an_npz_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="is truncated or no npz file"):
        artifacts.read_npz(npz(tmp_path / "x.npz", b"text", name="codes"), ["codes"])
    with pytest.raises(ArtifactError, match="is truncated or no npz file"):
        artifacts.read_npz(npz(tmp_path / "x.npz", b"\x93NUMPY\x09\x00"))


@pytest.mark.parametrize("compressed", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array", [np.zeros((500, 3000)), np.arange(5), np.array(3.5), np.zeros((0, 4)), np.array(["a"])]
)
def test_honest_files_are_read(tmp_path, array, compressed):
    compressed(tmp_path / "x.npz", codes=array)
    np.testing.assert_array_equal(artifacts.read_npz(tmp_path / "x.npz")["codes"], array, strict=True)
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(artifacts.load_npy(tmp_path / "x.npy"), array, strict=True)


def test_a_checkpoint_is_taken_away_by_its_own_training_alone(tmp_path):
    mine, other = (Checkpoint(tmp_path / "c.pt", about) for about in ("mine", "other"))
    mine.remove()
    mine.save({"update": 1})
    other.remove()
    assert mine.load() == {"update": 1}
    mine.remove()
    assert not mine.path.exists()
    mine.path.write_bytes(b"")
    mine.remove()
    Checkpoint(None, "mine").remove()
