"""Perceptual hashes under attack: chapter 1's four demands (eqs 1.2 to 1.5) measured on a folder of photographs.

    python -m hashlib_nb robustness --root PHOTOGRAPHS                # 500 of them; see --help
    python -m hashlib_nb robustness --pictures 60 --hashes phash pdq  # without a folder: what packages bring

Every hash gets the same pictures and the same copies of them, an attack each of `perceptual.ATTACKS`. Codes lie under
artifacts/, a file for `CHUNK` pictures, so that a run that was cut off goes on; the table is one JSON file.

A row that hashes lack: some of PDQ's bits, kept by the searches of `hashlib_nb.selectors`, paid by the share of copies
found at a rate of false alarms. They choose on one half of the photographs and are reported on the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, perceptual, selection, selectors
from hashlib_nb.datasets import Pictures, passed_over, square, walk
from hashlib_nb.experiments import duels, plan
from hashlib_nb.experiments.provenance import made_by
from hashlib_nb.experiments.result_tables import markdown_table
from hashlib_nb.perceptual import ATTACKS, HASHES, CopyDistances
from hashlib_nb.search import load_encoder

CHUNK = 25
"""Pictures whose codes are one file."""
LEARNED = "learned"
"""Name of the row of an encoder's codes."""
PACKAGES = ("imagehash", "pdqhash", "pywavelets", "pillow")
"""Beside those of every table: packages whose version can change a number; pdqhash where it is asked for."""
CHOSEN_FROM = "pdq"
"""The hash some of whose bits are kept."""
RANDOM_SUBSETS = 20
"""Random subsets whose mean and spread stand beside a choice."""
KEYS = (perceptual.PUBLIC_KEY, *(f"key {number}".encode() for number in range(10)))
"""The keyed hash's own key, and those whose codes are compared with its."""
TIMED = 2
"""Pictures that `--plan` times."""
ANCHORS = {"phash": 82.0, "pdq": 77.2, "dhash": 52.0, "ahash": 17.6}
"""Percent of copies found at 99.99% precision as the documentation of the package perception prints them, 256 bits."""


@dataclass(frozen=True)
class Args:
    """Measure perceptual hashes on a folder of pictures: robust, unique, compact, sensitive to their key."""

    root: Path | None = None
    """folder of pictures, with all that lies in it; by default photographs inside installed packages and generated
    pictures"""
    pictures: int = 500
    """pictures to draw from it; all of them where there are fewer"""
    size: int = 144
    """pixels of a side: pictures are resized to that, and cropped to squares, before anything else"""
    hashes: tuple[str, ...] = tuple(HASHES)
    """names in hashlib_nb.perceptual.HASHES"""
    model: Path | None = None
    """folder of an encoder whose codes get a row too"""
    n_bits: int = 64
    """bits of PDQ that searches keep; 0 for no such rows"""
    methods: tuple[str, ...] = ("ppo", "greedy", "entropy", "first")
    """searches of hashlib_nb.selectors that keep them"""
    budget: int = 2000
    """most reward calls of a search that does not end by itself"""
    rate: float = 0.001
    """of false alarms, at which recall is measured and bits are paid: a share of the pairs of different pictures"""
    precision: float = 0.9999
    """of answers, at which recall is measured as well"""
    seed: int = 0
    """of the draw of pictures, of generated ones, of noise, of the halves and of the searches"""
    out: Path | None = None
    """JSON to write; by default runs/robustness.json. A file that is no such table is not replaced"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "pictures", least=4, most=1_000_000)
        checks.fields(self, checks.count, "size", least=16, most=2048)
        checks.fields(self, checks.count, "n_bits", least=0, most=HASHES[CHOSEN_FROM].bits - 1, why="of PDQ's 256")
        checks.fields(self, checks.count, "budget", most=selection.MOST)
        checks.fields(self, checks.share, "rate", "precision")
        checks.fields(self, checks.seed, "seed")
        for name, known in (("hashes", HASHES), ("methods", selectors.METHODS)):
            given = getattr(self, name)
            if not given or len({*given}) < len(given) or not {*given} <= {*known}:
                raise ValueError(f"{name} is {list(given)}; give different ones of {', '.join(known)}")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}; give a share above 0")
        if self.n_bits and CHOSEN_FROM not in self.hashes:
            raise ValueError(
                f"n_bits is {self.n_bits} and hashes lacks pdq, whose bits they are; add it or set n_bits 0"
            )

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "robustness.json"


class Coder:
    """The pictures of a run and their codes under every hash, kept in files."""

    def __init__(self, args: Args):
        self.args = args
        if CHOSEN_FROM in args.hashes:
            perceptual.check_extra()
        if args.model is not None and not args.model.is_dir():
            raise FileNotFoundError(f"model: {artifacts.shown(args.model)} is no folder; give that of an encoder")
        self.encoder = None if args.model is None else load_encoder(args.model)
        self.images = drawn(args)
        self.names = (*args.hashes, *([LEARNED] if self.encoder else []))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that the codes depend on."""
        images, args = self.images, self.args
        found = {"data": images.digest if isinstance(images, Pictures) else artifacts.digest(images)}
        found |= {"attacks": [each.name for each in ATTACKS], "hashes": list(args.hashes), "seed": args.seed}
        found["versions"] = versions(args)
        if args.model is not None:
            found["model"] = [artifacts.sha256(file).hex() for file in sorted(args.model.glob("encoder.*"))]
        return found

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return artifacts.project_root() / "artifacts" / f"robustness-{artifacts.digest_of_text(str(self.settings))}"

    def files(self) -> Iterator[tuple[slice, Path]]:
        """Rows and file of each part."""
        for first in range(0, len(self.images), CHUNK):
            yield slice(first, min(first + CHUNK, len(self.images))), self.folder / f"codes-{first:06d}.npz"

    def codes(self) -> dict[str, np.ndarray]:
        """For each hash uint8 [n, 1 + attacks, k], the picture's own code first; `keys`: [n, keys, k] of other keys."""
        parts = []
        for rows, path in tqdm([*self.files()], unit=f" x {CHUNK} pictures", desc="copies and codes"):
            about = self.settings | {"rows": [rows.start, rows.stop]}
            parts.append(artifacts.load_or_make(path, about, lambda rows=rows: self.code(rows), made_by=__name__))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def code(self, rows: slice) -> dict[str, np.ndarray]:
        """The codes of some pictures, made."""
        found: dict[str, list] = {name: [] for name in (*self.names, "keys")}
        for row, image in zip(range(rows.start, rows.stop), self.images[rows], strict=True):
            copies = [image, *(attack(image, checks.word(self.args.seed, row)) for attack in ATTACKS)]
            for name in self.args.hashes:
                found[name].append(perceptual.hash_pictures(name, copies))
            if self.encoder:
                squares = np.stack([square(Image.fromarray(each), self.args.size) for each in copies])
                found[LEARNED].append(self.encoder.encode(squares))
            found["keys"].append([perceptual.keyed_codes([image], key)[0] for key in KEYS])
        return {name: np.array(each, dtype=np.uint8) for name, each in found.items()}


def versions(args: Args) -> dict[str, str]:
    """Of the packages beside those of every table."""
    return {name: version(name) for name in PACKAGES if name != "pdqhash" or CHOSEN_FROM in args.hashes}


def drawn(args: Args) -> Pictures | np.ndarray:
    """The pictures of a run: files of the root drawn with the seed, or what packages bring, uint8 [n, size, size, 3].

    Raises:
        FileNotFoundError: root does not exist.
        ValueError: root is no folder, or has fewer than 4 pictures.
    """
    if args.root is None:
        return perceptual.sample(args.pictures, args.size, seed=args.seed)[0]
    if not args.root.is_dir():
        raise FileNotFoundError(f"root: {artifacts.shown(args.root)} is no folder; give one with pictures")
    found = walk(args.root)
    if said := passed_over(found.others, args.root):
        print(said)
    if len(found.pictures) < 4:
        raise ValueError(f"root: {artifacts.shown(args.root)} has {len(found.pictures)} pictures; give at least 4")
    order = np.random.default_rng(args.seed).permutation(len(found.pictures))[: args.pictures]
    return Pictures([found.pictures[row] for row in np.sort(order)], size=args.size, root=args.root)


# --- what a row says ---


def flat(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Originals [n, k], copies [n * attacks, k] and the row of each copy's original, of codes [n, 1 + attacks, k]."""
    n, attacks, k = codes.shape
    return codes[:, 0], codes[:, 1:].reshape(-1, k), np.repeat(np.arange(n), attacks - 1)


def summary(far: CopyDistances, args: Args) -> dict[str, Any]:
    """What distances say of a hash over all attacks."""
    about = {"copies": far.copies, "pairs": far.pairs, "area": far.area, "equal_error_rate": far.equal_error_rate}
    about |= {"recall": far.recall_at_rate(args.rate), "radius": far.radius_at_rate(args.rate)}
    return about | {"recall_at_precision": far.recall_at_precision(args.precision)}


def row(name: str, codes: np.ndarray, args: Args) -> dict[str, Any]:
    """A hash's row; codes uint8 [n, 1 + attacks, k].

    Uniqueness is of the pictures themselves; robustness of each attack is the share of copies within one radius, that
    of `args.rate` over all attacks, with Wilson's interval over pictures.
    """
    originals, own = codes[:, 0], np.arange(len(codes))
    each = [perceptual.distances_of(originals, codes[:, place], own) for place in range(1, codes.shape[1])]
    overall = sum(each[1:], start=each[0])
    about = {"hash": name, "title": title_of(name), "bits": codes.shape[2]} | summary(overall, args)
    apart, radius = perceptual.uniqueness(originals), max(about["radius"], 0)
    about["uniqueness"] = {
        "pairs": apart.pairs, "collisions": apart.collisions, "mean": apart.mean,
        "effective_bits": apart.effective_bits,
        "within": float(apart.within[radius]), "binomial": float(apart.binomial[radius]),
    }  # fmt: skip
    about["compactness"] = 8 * 3 * args.size**2 / codes.shape[2]
    about["attacks"] = {
        attack.name: _of_attack(far, about["radius"]) for attack, far in zip(ATTACKS, each, strict=True)
    }
    return about


def _of_attack(far: CopyDistances, radius: int) -> dict[str, Any]:
    """Share of an attack's copies within the radius, Wilson's interval of it, and their mean distance in shares."""
    hits, k = far.hits(radius), len(far.same) - 1
    mean = float(np.average(np.arange(k + 1), weights=far.same) / k)
    return {"recall": hits / far.copies, "interval": [*perceptual.wilson(hits, far.copies)], "mean": mean}


def title_of(name: str) -> str:
    """What tables call a hash."""
    return "learned codes" if name == LEARNED else HASHES[name].title


def found_by_picture(codes: np.ndarray, far: CopyDistances, rate: float) -> np.ndarray:
    """Share of each picture's copies that are found at a rate of false alarms, float64 [n]; their mean is the recall.

    Args:
        codes: uint8 [n, 1 + attacks, k].
        far: the distances of all of them.
        rate: of false alarms; the radius is the one of `far`, the same for every picture.
    """
    radius, apart = far.radius_at_rate(rate), (codes[:, :1] != codes[:, 1:]).sum(axis=2)
    within, beyond = (apart <= radius).mean(axis=1), (apart <= radius + 1).mean(axis=1)
    low, high = within.mean(), beyond.mean()
    weight = (far.recall_at_rate(rate) - low) / (high - low) if high > low else 0.0  # between two radii
    return within + weight * (beyond - within)


def chosen(codes: np.ndarray, args: Args, folder: Path) -> dict[str, Any]:
    """Bits kept on one half of the pictures, measured on the other; codes uint8 [n, 1 + attacks, k]."""
    order = np.random.default_rng(args.seed).permutation(len(codes))
    half = len(codes) // 2
    mine, theirs = codes[np.sort(order[:half])], codes[np.sort(order[half:])]
    originals, copies, copy_of = flat(mine)
    reward = perceptual.RecallReward(copies, originals, copy_of, rate=args.rate)

    def line(title: str, bits: np.ndarray, **about: Any) -> tuple[dict[str, Any], np.ndarray]:
        there, changed, whose = flat(theirs[:, :, bits])
        far = perceptual.distances_of(there, changed, whose)
        shares = found_by_picture(theirs[:, :, bits], far, args.rate)
        about |= summary(far, args) | {"recall_interval": duels.resampled(shares, seed=args.seed)}
        return {"title": title, "bits": len(bits)} | about, shares

    lines = [line("all", np.arange(codes.shape[2]), reward=reward.of_bits(range(codes.shape[2])))[0]]
    masks = selection.random_masks(codes.shape[2], args.n_bits, RANDOM_SUBSETS, args.seed)
    some, shares = zip(*(line("random", np.flatnonzero(mask)) for mask in masks), strict=True)
    by_chance = np.mean(shares, axis=0)
    measures = ("equal_error_rate", "recall", "recall_at_precision", "area")
    spread = {f"{name}_sd": float(np.std([each[name] for each in some], ddof=1)) for name in measures}
    means = {name: float(np.mean([each[name] for each in some])) for name in measures}
    lines.append({"title": "random", "bits": args.n_bits, "reward": float(reward(masks).mean())} | means | spread)
    for method in args.methods:
        about = {"codes": artifacts.digest(mine), "rate": args.rate, "n_bits": args.n_bits, "method": method}
        about |= {"budget": args.budget, "seed": args.seed}
        start = time.perf_counter()
        found = selection.load_or_make(
            folder / f"{method}-p{args.n_bits}-b{args.budget}-s{args.seed}-r{args.rate:g}.npz", about,
            lambda method=method: selectors.select(
                None, None, args.n_bits, method=method, seed=args.seed, reward=reward,
                budget=args.budget if selectors.METHODS[method].open_ended else None,
            ),
        )  # fmt: skip
        seconds = {"seconds": float(found.history["seconds"][-1]), "loaded_or_made": time.perf_counter() - start}
        about = {"reward": found.reward, "calls": found.calls, "kept": found.bits.tolist()} | seconds
        one, shares = line(selectors.METHODS[method].title, found.bits, **about)
        lines.append(one | {"beyond_random": duels.resampled(shares - by_chance, seed=args.seed)})
    return {"of": CHOSEN_FROM, "chosen_on": len(mine), "reported_on": len(theirs), "rows": lines}


def make_record(args: Args, shown: Args | None = None) -> dict[str, Any]:
    """Measure, and write the record.

    Args:
        args: of the run.
        shown: whose command the record names; None for `args`.
    """
    artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
    about = made_by("robustness", shown or args)
    about["versions"] |= versions(args)
    coder = Coder(args)
    codes = coder.codes()
    record = about | {"pictures": len(coder.images), "attacks": [each.name for each in ATTACKS], "anchors": ANCHORS}
    record["rows"] = [row(name, codes[name], args) for name in coder.names]
    own, *others = np.moveaxis(codes["keys"], 1, 0)
    shares = np.stack([perceptual.key_sensitivity(own, each) for each in others])
    record["key_sensitivity"] = {
        "mean": float(shares.mean()),
        "least": float(shares.min()),
        "most": float(shares.max()),
    }
    record["chosen"] = chosen(codes[CHOSEN_FROM], args, coder.folder) if args.n_bits else None
    with artifacts.locked(args.path):
        artifacts.save_json(args.path, record)
    return record


# --- as text ---


def markdown(record: Mapping[str, Any]) -> list[str]:
    """A record as lines of markdown: every hash, every family of attacks, and the bits that were kept."""
    args, rows = record["args"], record["rows"]
    at, sure = f"{100 * args['rate']:g}% false alarms", f"{100 * args['precision']:g}% precision"
    columns = ("hash", "bits", "effective bits", "mean distance", "equal error", f"found at {at}", f"found at {sure}")
    lines = [
        (each["title"], str(each["bits"]), f"{each['uniqueness']['effective_bits']:.0f}",
         f"{each['uniqueness']['mean']:.3f}", _percent(each["equal_error_rate"]), _percent(each["recall"]),
         _percent(each["recall_at_precision"]))
        for each in rows
    ]  # fmt: skip
    first = rows[0]
    printed = ", ".join(f"{HASHES[name].title} {value}" for name, value in record["anchors"].items())
    said = [
        f"{record['pictures']} pictures, {len(record['attacks'])} copies of each; {first['copies']:,} copies, "
        f"{first['pairs']:,} pairs of a copy and another picture's original.",
        "",
        *markdown_table(columns, lines),
        "",
        f"The documentation of perception prints at 99.99% precision, for pictures and attacks of its own: {printed}; "
        "and that all of them fail where 5% are cropped.",
        "",
        *markdown_table(("found within its radius", *families(record)), [*map(_by_family, rows)]),
    ]
    keys = record["key_sensitivity"]
    said += ["", f"Another key changes {_percent(keys['mean'])} of a keyed code's bits on average, "
             f"{_percent(keys['least'])} to {_percent(keys['most'])}."]  # fmt: skip
    return [*said, "", *_of_chosen(record["chosen"], at, sure)] if record["chosen"] else said


def families(record: Mapping[str, Any]) -> list[str]:
    """Families of the record's attacks, in their order."""
    return [*dict.fromkeys(map(family_of, record["attacks"]))]


def family_of(attack: str) -> str:
    """An attack's family, by the name that a record has: family, strength and unit."""
    return attack.rpartition(" (")[0].rpartition(" ")[0]


def by_family(each: Mapping[str, Any]) -> dict[str, float]:
    """Mean share of a row's copies that are found, for each family of attacks."""
    found: dict[str, list[float]] = {}
    for name, about in each["attacks"].items():
        found.setdefault(family_of(name), []).append(about["recall"])
    return {family: float(np.mean(values)) for family, values in found.items()}


def _by_family(each: Mapping[str, Any]) -> list[str]:
    radius = each["radius"] if each["radius"] >= 0 else "none"
    return [f"{each['title']}, {radius}", *(f"{100 * value:.0f}" for value in by_family(each).values())]


def _of_chosen(found: Mapping[str, Any], at: str, sure: str) -> list[str]:
    """The kept bits as a table."""
    columns = (
        f"bits of {title_of(found['of'])}",
        "bits",
        "reward",
        "equal error",
        f"found at {at}",
        "95% interval",
        "points beyond random",
        f"found at {sure}",
    )
    lines = [
        (each["title"], str(each["bits"]), f"{each['reward']:.4f}", *_scores(each, "equal_error_rate", "recall"),
         _between(each.get("recall_interval"), "{:.1f}"), _between(each.get("beyond_random"), "{:+.1f}"),
         *_scores(each, "recall_at_precision"))
        for each in found["rows"]
    ]  # fmt: skip
    about = (
        f"Chosen on {found['chosen_on']} pictures (reward), reported on {found['reported_on']} others. Random is the "
        f"mean ± standard deviation of {RANDOM_SUBSETS} subsets; intervals are of the share found, over pictures."
    )
    return [about, "", *markdown_table(columns, lines)]


def _scores(each: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        spread = f" ± {100 * each[f'{name}_sd']:.1f}" if f"{name}_sd" in each else ""
        yield _percent(each[name]) + spread


def _between(ends: Sequence[float] | None, form: str) -> str:
    return " to ".join(form.format(100 * end) for end in ends) if ends else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


# --- what it would take ---


def planned(args: Args) -> plan.Plan:
    """In words: files of codes that are missing, and about how long they and the searches take."""
    coder = Coder(args)
    missing = [rows for rows, path in coder.files() if not path.exists()]
    start = time.process_time()
    coder.code(slice(0, TIMED))
    count = sum(rows.stop - rows.start for rows in missing)
    minutes = (time.process_time() - start) / TIMED * count / 60
    words = f"{count:,} of {len(coder.images):,} pictures to hash, {len(ATTACKS)} copies of each"
    searches = f"searches of {', '.join(args.methods)}: not counted" if args.n_bits else "no search"
    return plan.Plan(besides=(f"{words}: about {minutes:.2g} CPU minutes", searches))


def main(args: Args) -> None:
    """Measure from the shell; what is coded is kept."""
    if args.plan:
        plan.show(planned(args))
        return
    record = make_record(args)
    print("\n".join(markdown(record)))
    print(f"saved {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
