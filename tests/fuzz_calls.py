"""Calls that cannot be meant: each reader x files of no use to it, each argument that is an array x what is none."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashlib_nb import artifacts, baselines, codes, datasets, hamming, metrics, perceptual, search, selection, selectors
from hashlib_nb import thermometer as thermo
from hashlib_nb.scale import shards
from hashlib_nb.search import checkpoints as search_checkpoints
from hashlib_nb.search import video as search_video
from tests.fuzz_tables import BAD_FILES, BAD_FOLDERS, World, bounded, foreign_words, is_shown
from tests.helpers import noisy_codes

CODES, LABELS = noisy_codes(n=40, k=8)
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)

FILE_READERS: dict[str, Callable[[Path], Any]] = {
    "artifacts.read_npz": artifacts.read_npz,
    "artifacts.load_npz": artifacts.load_npz,
    "artifacts.load_npy": artifacts.load_npy,
    "artifacts.load_json": artifacts.load_json,
    "artifacts.read_array codes": lambda path: hamming.as_codes(artifacts.read_array(path, "codes")),
    "artifacts.read_selection": artifacts.read_selection,
    "selection.Selection.load": selection.Selection.load,
    "thermometer.read_meaning": lambda path: thermo.read_meaning(path, 8),
    "datasets.load split": lambda path: datasets.load("fashion-mini", split=path),
    "datasets.read_list": datasets.read_list,
    "scale.shards.read": shards.read,
    "search.checkpoints.TreeHead.load": search_checkpoints.TreeHead.load,
    "search.video.Videos.load": search_video.Videos.load,
}
"""Functions that read one file, some with the name of their argument."""
FOLDER_READERS: dict[str, Callable[[Path], Any]] = {
    **{
        f"datasets.load {name}": partial(lambda name, path: datasets.load(name, root=path), name)
        for name in datasets.names()
    },
    "scale.shards.find shards": lambda path: shards.find([path]),
    "search.Index index": lambda path: len(search.Index(path)),
    "search.find_pictures": lambda path: search.load_encoder(search.find_pictures([path])[0]),
    "search.load_encoder": search.load_encoder,
    "search.classes_of model": search.classes_of,
    "thermometer.ClassCodes.load folder": thermo.ClassCodes.load,
}
"""Functions that read a folder."""

NO_ARRAYS: dict[str, Any] = {
    "None": None,
    "a text": "codes",
    "a number": 3,
    "nothing": [],
    "rows of two lengths": [[0, 1], [1]],
    "a cube": np.zeros((40, 2, 2), np.uint8),
    "a cube of the wrong kind": np.zeros((2, 2, 2, 2, 2)),
    "objects": np.array([[None, 1]] * 40),
    "NaN": np.full((40, 8), np.nan),
    "texts": np.array([["a", "b"]] * 40),
    "a dict": {"codes": CODES},
    "complex numbers": np.full((40, 8), 1j),
    "too few": CODES[:1, :0],
    "a generator": (row for row in CODES),
    "a function": len,
}
"""What is no array of codes, labels or pictures."""


def _map(**given: Any) -> float:
    usual = {"query_codes": CODES, "database_codes": CODES, "query_labels": LABELS, "database_labels": LABELS}
    return metrics.mean_average_precision(**usual | given)


LOGITS = np.random.default_rng(0).normal(size=(40, 8))
CLASSES = thermo.ClassCodes(CODES[:4], np.arange(4))
POSTERIORS = thermo.posteriors(LOGITS, CLASSES)
SHARD = shards.Shard(Path("new/shard.npz"), 0, 40, 8)
"""A file that is read after the queries are looked at, and so never."""


def _ceiling(call: Callable[..., Any], **given: Any) -> Any:
    usual = {f"{side}_posteriors": POSTERIORS for side in ("query", "database")}
    return call(**usual | {f"{side}_labels": LABELS for side in ("query", "database")} | given)


def _cosines(**given: Any) -> np.ndarray:
    from hashlib_nb.experiments.unseen import cosine_precision  # here, since it brings torch

    usual = {"query": LOGITS, "database": LOGITS, "query_labels": LABELS, "database_labels": LABELS}
    return cosine_precision(**usual | given)


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "hamming.pack codes": hamming.pack,
    "hamming.pack_bytes codes": hamming.pack_bytes,
    "hamming.nearest query_codes": lambda value: hamming.nearest(value, CODES, 3),
    "hamming.nearest database_codes": lambda value: hamming.nearest(CODES, value, 3),
    "hamming.as_codes codes": hamming.as_codes,
    "metrics.mean_average_precision query_codes": lambda value: _map(query_codes=value),
    "metrics.mean_average_precision database_codes": lambda value: _map(database_codes=value),
    "metrics.mean_average_precision query_labels": lambda value: _map(query_labels=value),
    "metrics.mean_average_precision database_labels": lambda value: _map(database_labels=value),
    "scale.shards.save codes": lambda value: shards.save(Path("new/shard.npz"), value, LABELS, first=0),
    "scale.shards.save labels": lambda value: shards.save(Path("new/shard.npz"), CODES, value, first=0),
    "scale.shards.histograms query_codes": lambda value: shards.histograms(value, LABELS, [SHARD]),
    "scale.shards.histograms query_labels": lambda value: shards.histograms(CODES, value, [SHARD]),
    "codes.infer_codes labels": lambda value: codes.infer_codes(value, 4, epochs=1),
    "codes.pair_objective codes": lambda value: codes.pair_objective(value, LABELS),
    "selection.Reward codes": lambda value: selection.Reward(value, LABELS),
    "selection.Reward labels": lambda value: selection.Reward(CODES, value),
    "selection.Reward query_codes": lambda value: selection.Reward(CODES, LABELS, query_codes=value),
    "thermometer.bits logits": thermo.bits,
    "thermometer.bits levels": lambda value: thermo.bits(LOGITS, value),
    "thermometer.bits candidates": lambda value: thermo.bits(LOGITS, thermo.LEVELS, value),
    "thermometer.code outputs": lambda value: thermo.code(LOGITS, value),
    "thermometer.code thresholds": lambda value: thermo.code(LOGITS, [0, 1], value),
    "thermometer.quantiles logits": thermo.quantiles,
    "thermometer.quantiles levels": lambda value: thermo.quantiles(LOGITS, value),
    "thermometer.distinct codes": thermo.distinct,
    "thermometer.distinct query_codes": lambda value: thermo.distinct(CODES, value),
    "thermometer.ClassCodes codes": lambda value: thermo.ClassCodes(value, np.arange(4)),
    "thermometer.ClassCodes label_sets": lambda value: thermo.ClassCodes(CODES[:4], value),
    "thermometer.ClassCodes.of targets": lambda value: thermo.ClassCodes.of(value, LABELS),
    "thermometer.ClassCodes.of labels": lambda value: thermo.ClassCodes.of(CODES, value),
    "thermometer.ClassCodes.of logits": lambda value: thermo.ClassCodes.of(CODES, LABELS, value),
    "thermometer.posteriors logits": lambda value: thermo.posteriors(value, CLASSES),
    "thermometer.decide logits": lambda value: thermo.decide(value, CLASSES),
    "thermometer.decide outputs": lambda value: thermo.decide(LOGITS, CLASSES, value),
    "thermometer.decided_labels posteriors": thermo.decided_labels,
    "thermometer.logits_of posteriors": lambda value: thermo.logits_of(value, CODES[:4]),
    "thermometer.logits_of class_codes": lambda value: thermo.logits_of(POSTERIORS, value),
    "thermometer.predict_classes codes": lambda value: thermo.predict_classes(value, CODES, LABELS),
    "thermometer.predict_classes targets": lambda value: thermo.predict_classes(CODES, value, LABELS),
    "thermometer.predict_classes labels": lambda value: thermo.predict_classes(CODES, CODES, value),
    **{
        f"thermometer.{call.__name__} {name}": lambda value, name=name, call=call: _ceiling(call, **{name: value})
        for call in (thermo.ceiling, thermo.ceiling_bracket)
        for name in ("query_posteriors", "database_posteriors", "query_labels", "database_labels")
    },
    **{
        f"unseen.cosine_precision {name}": lambda value, name=name: _cosines(**{name: value})
        for name in ("query", "database", "query_labels", "database_labels")
    },
    "selectors.select codes": lambda value: selectors.select(value, LABELS, 3, method="first"),
    "selectors.nested_order codes": lambda value: selectors.nested_order(value, LABELS, 3),
    "selectors.nested_order labels": lambda value: selectors.nested_order(CODES, value, 3),
    "selectors.select labels": lambda value: selectors.select(CODES, value, 3, method="first"),
    **{
        f"perceptual.{call.__name__} image": call
        for call in (
            perceptual.gray,
            perceptual.hue,
            perceptual.homomorphic,
            perceptual.block_means,
            perceptual.low_frequencies,
            perceptual.wavelet_approximation,
            perceptual.pdq_quality,
            perceptual.ATTACKS[0].__call__,
        )
    },
    "perceptual.hash_pictures images": lambda value: perceptual.hash_pictures("phash", value),
    "perceptual.keyed_codes images": lambda value: perceptual.keyed_codes(value, b"key"),
    "perceptual.uniqueness codes": perceptual.uniqueness,
    "perceptual.key_sensitivity codes": lambda value: perceptual.key_sensitivity(value, CODES),
    "perceptual.key_sensitivity others": lambda value: perceptual.key_sensitivity(CODES, value),
    "perceptual.distances_of originals": lambda value: perceptual.distances_of(value, CODES, np.arange(40)),
    "perceptual.distances_of copies": lambda value: perceptual.distances_of(CODES, value, np.arange(40)),
    "perceptual.distances_of copy_of": lambda value: perceptual.distances_of(CODES, CODES, value),
    "perceptual.RecallReward originals": lambda value: perceptual.RecallReward(CODES, value, np.arange(40)),
    "perceptual.RecallReward copies": lambda value: perceptual.RecallReward(value, CODES, np.arange(40)),
    "perceptual.RecallReward copy_of": lambda value: perceptual.RecallReward(CODES, CODES, value),
    "perceptual.recover_key features": lambda value: perceptual.recover_key(value, CODES),
    "perceptual.recover_key codes": lambda value: perceptual.recover_key(LOGITS, value),
    "perceptual.second_preimage image": lambda value: perceptual.second_preimage(value, np.arange(256) % 2),
    "perceptual.second_preimage code": lambda value: perceptual.second_preimage(PICTURE, value),
    "perceptual.peak_signal_to_noise image": lambda value: perceptual.peak_signal_to_noise(value, PICTURE),
    "perceptual.peak_signal_to_noise other": lambda value: perceptual.peak_signal_to_noise(PICTURE, value),
    "baselines.class_index_codes classes": lambda value: baselines.class_index_codes(value, 4),
}
"""Functions of an array, by the name of the argument."""

FITS = {
    ("artifacts.read_npz", "bad/foreign.npz"), ("artifacts.load_json", "bad/foreign.json"),
    ("artifacts.load_json", "bad/asks.json"), ("artifacts.read_selection", "bad/asks.json"),
    *(("artifacts.load_npy", f"bad/{name}.npy") for name in ("strings", "cube", "nans", "scalar")),
    ("hamming.pack codes", "too few"), ("hamming.pack_bytes codes", "too few"), ("hamming.as_codes codes", "too few"),
    ("scale.shards.save codes", "too few"), ("selection.Reward labels", "texts"),
    ("perceptual.hash_pictures images", "nothing"), ("perceptual.keyed_codes images", "nothing"),
    *((name, "None") for name in (
        "selection.Reward query_codes", "thermometer.bits candidates", "thermometer.code thresholds",
        "thermometer.distinct query_codes", "thermometer.ClassCodes.of logits", "thermometer.decide outputs",
    )),
}  # fmt: skip
"""What these take, although others do not: an array of any kind, for who reads arrays of any kind."""


@dataclass(frozen=True)
class Call:
    """A call that cannot be carried out."""

    name: str
    """The function and what is given."""
    names: tuple[str, ...]
    """What its refusal may name: the argument, or the file."""
    run: Callable[[], Any]
    """The call."""


def calls(world: World) -> Iterator[Call]:
    """All of them."""
    for readers, files in ((FILE_READERS, BAD_FILES), (FOLDER_READERS, BAD_FOLDERS)):
        for name, read in readers.items():
            for file in (each for each in files if (name, each) not in FITS):
                path = Path(file) if file.startswith(("/", "~")) else world.here / file
                yield Call(f"{name}: {ascii(file)[:40]}", (*name.split()[1:], file, str(path)), partial(read, path))
    for name, function in ARRAYS.items():
        for kind, value in NO_ARRAYS.items():
            if (name, kind) not in FITS:
                yield Call(f"{name}: {kind}", (name.split()[-1],), partial(function, value))


def complaints(call: Call) -> list[str]:
    """What is wrong with how a call ended; nothing for a ValueError of one sentence, or Python's OSError of a file."""
    try:
        with bounded(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = call.run()
    except (ValueError, FileNotFoundError) as error:
        said = str(error)
        wrong = [f"says {words!r}" for words in foreign_words(said)]
        wrong += ["has several lines"] * ("\n" in said)
        wrong += [f"names none of {call.names}"] * (not any(is_shown(name, said) for name in call.names))
        return [f"{each}: {said[:200]}" for each in wrong]
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is not None:
            return []
        return [f"{type(error).__name__}: {str(error)[:200]}"]
    return [f"is taken: {str(found)[:100]}"]
