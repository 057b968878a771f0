"""What a command would take, said before it begins: fits, encodings and searches that are missing, CPU hours and disk.

How many there are follows from the keys of the runs and from the files that lie there already. What each takes is
measured here and now: a few training steps and a batch of encoding of the same architecture at the same size, with
random weights, and a short search on random codes of the same numbers of rows and candidates.

    plan.show(plan.of_setups([setup]))

Left out: stage 1, which takes seconds to minutes, the checks of picture files, and the measuring of rows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import artifacts, encoder, ppo, selectors, thermometer
from hashlib_nb.datasets import PARTS
from hashlib_nb.selection import Reward

if TYPE_CHECKING:
    from hashlib_nb.candidates import Options
    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder import Setup

TWICE = ("query", "database")
"""Parts that are encoded a second time for mirrored logits."""
STEPS = (2, 4)
"""Training steps of the two fits whose difference is timed."""
EPISODES = 64
"""Subsets of the PPO run that is timed."""
TIMED_BITS = 4
"""Bits of the searches that are timed: greedy's time grows with them."""


@dataclass(frozen=True)
class Search:
    """A selection of bits that is wanted; see `Setup.select`."""

    setup: Setup
    """Of the codes."""
    method: str
    """A name in `selectors.METHODS`."""
    n_bits: int
    """p."""
    options: Options
    """The candidates."""
    total_episodes: int
    """Subsets that "ppo" tries."""

    @property
    def there(self) -> bool:
        """Whether its file lies there."""
        path = self.setup.selection_path(self.method, self.n_bits, self.options, total_episodes=self.total_episodes)
        return path.exists()


@dataclass(frozen=True)
class Plan:
    """What a command wants made. Files that lie there are not looked into: some may turn out to be of other data."""

    codes: tuple[Setup, ...] = ()
    """Keys of the codes."""
    mirrored: tuple[Setup, ...] = ()
    """Keys of those whose query and database pictures are encoded a second time, mirrored."""
    searches: tuple[Search, ...] = ()
    """Selections of their bits; none is made where it turns out that fewer candidates differ than bits are wanted."""
    besides: tuple[str, ...] = ()
    """What else it does, in words: not counted."""

    def __add__(self, other: Plan) -> Plan:
        return Plan(
            _distinct(self.codes + other.codes),
            _distinct(self.mirrored + other.mirrored),
            self.searches + other.searches,
            tuple(dict.fromkeys(self.besides + other.besides)),
        )

    def splits(self, setup: Setup) -> Splits:
        """The pictures of a key, read once for all keys of the same ones."""
        return next(each for each in (*self.codes, *self.mirrored) if each.label == setup.label).splits

    @property
    def missing(self) -> list[Setup]:
        """Keys whose codes lie nowhere yet."""
        wanted = [setup for setup in self.codes if setup.source == "own"]
        return [setup for setup in wanted if not (setup.folder / artifacts.CODES).exists()]

    @property
    def missing_mirrored(self) -> list[Setup]:
        """Keys whose mirrored logits lie nowhere yet."""
        return [setup for setup in self.mirrored if not (setup.folder / "mirrored.npz").exists()]

    @property
    def missing_searches(self) -> list[Search]:
        """Selections that lie nowhere yet."""
        return [search for search in self.searches if not search.there]

    @property
    def fits(self) -> int:
        """Encoders to be fitted, those of folds included."""
        return sum(map(fits, self.missing))

    @property
    def pictures(self) -> int:
        """Pictures that go through a network outside of training steps, as often as they do."""
        return sum(count for _, count in self.encodings)

    @property
    def encodings(self) -> list[tuple[Setup, int]]:
        """How many of them for each key."""
        again = [setup for setup in self.missing_mirrored if not _is_frozen(setup)]
        plain = [(setup, encoded(setup, self.splits(setup))) for setup in self.missing]
        return plain + [(setup, _rows(self.splits(setup), *TWICE)) for setup in again] + self.features

    @property
    def features(self) -> list[tuple[Setup, int]]:
        """A key of each frozen trunk whose features are missing, and of how many pictures, mirrored ones apart."""
        wanted: dict = {}
        for setups, names in ((self.missing, _views), (self.missing_mirrored, _mirrored_views)):
            for setup in filter(_is_frozen, setups):
                folder = features_folder(setup, self.splits(setup))
                kept = wanted.setdefault(folder, (setup, set()))[1]
                kept |= {name for name in names(setup) if not (folder / f"{name}.npy").exists()}
        counts = []
        for setup, names in wanted.values():
            parts = (name.removesuffix("-mirrored") for name in names)
            counts.append((setup, sum(_rows(self.splits(setup), part) for part in parts)))
        return [(setup, count) for setup, count in counts if count]


def of_setups(setups: Iterable[Setup], *, mirrored: Iterable[Setup] = (), searches: Iterable[Search] = ()) -> Plan:
    """The plan of having the codes of these keys, some of them mirrored as well, and these selections."""
    return Plan(_distinct(setups), _distinct(mirrored), tuple(searches))


def _distinct(setups: Iterable[Setup]) -> tuple[Setup, ...]:
    return tuple({setup.folder: setup for setup in reversed([*setups])}.values())[::-1]


def fits(setup: Setup) -> int:
    """Encoders that are fitted for the codes of a key."""
    return 1 + setup.folds


def steps(setup: Setup, splits: Splits) -> int:
    """Optimizer steps of all these fits; where the recipe stops early, at most so many."""
    n = len(splits.train)
    sizes = [n, *fold_sizes(n, setup.folds)]
    return sum(setup.settings.epochs * (size // min(setup.settings.recipe.batch_size, size)) for size in sizes)


def fold_sizes(n: int, folds: int) -> list[int]:
    """How many of n pictures each fold's encoder is fitted to."""
    return [n - n // folds - (fold < n % folds) for fold in range(folds)]


def encoded(setup: Setup, splits: Splits) -> int:
    """Pictures that the key's encoders encode; none of a frozen trunk, whose features are kept.

    Every part by the encoder itself; the training pictures once more for a view of each, and in each fold after each
    epoch and in the end.
    """
    if _is_frozen(setup):
        return 0
    again = setup.settings.recipe.views + (setup.folds > 0) * (setup.settings.epochs + 1)
    return _rows(splits, *PARTS) + again * len(splits.train)


def features_folder(setup: Setup, splits: Splits) -> Path:
    """Where the features of a key's frozen trunk lie."""
    size = setup.settings.size or _new(setup, splits, 1).size[0]
    return encoder.features_folder(setup.label, setup.settings.arch, size)


def _new(setup: Setup, splits: Splits, outputs: int) -> encoder.Encoder:
    """An encoder of the key's architecture, with random weights."""
    return encoder.new_encoder(splits.train.images, outputs, _random(setup.settings))


def _random(settings: encoder.Settings) -> encoder.Settings:
    return replace(settings, weights="random", weights_path=None, compile=False, epochs=1)


def _is_frozen(setup: Setup) -> bool:
    return setup.settings.recipe.head is not None


def _views(setup: Setup) -> set[str]:
    return {"query", "database", "train", *(["train-mirrored"] if setup.settings.recipe.mirror else [])}


def _mirrored_views(setup: Setup) -> set[str]:
    return {"query-mirrored", "database-mirrored"}


def _rows(splits: Splits, *parts: str) -> int:
    return sum(len(getattr(splits, part)) for part in parts)


@dataclass(frozen=True)
class Speed:
    """What an architecture takes here: CPU seconds of all threads, and bytes."""

    step: float
    """Seconds of an optimizer step."""
    picture: float
    """Seconds of encoding a picture, or of its features."""
    encoder: int
    """Bytes of the weights."""
    width: int
    """Features of a frozen trunk; 0 of any other network."""


def measure(setup: Setup, splits: Splits) -> Speed:
    """The speed of a key's architecture at its size, on its own pictures, with random weights."""
    settings, train = _random(setup.settings), splits.train
    batch = min(settings.recipe.batch_size, len(train))
    outputs = train.labels.shape[1] if settings.outputs == "labels" else setup.code_length
    new = _new(setup, splits, outputs)
    width = new.network.width if _is_frozen(setup) else 0
    some = train.take(np.arange(min(len(train), new.batch_size_for(train.images)))).images
    encode = new.features if width else new.logits
    picture = _clock(lambda: encode(some)) / len(some)
    rng = np.random.default_rng(0)

    def fit(steps: int) -> None:
        rows = np.resize(np.arange(len(train)), steps * batch)
        images = rng.random((len(rows), 1 + settings.recipe.mirror, width)).astype(np.float16) if width else None
        images = train.take(rows).images if images is None else images
        encoder.fit(images, rng.integers(0, 2, (len(rows), outputs), np.uint8), settings, progress=False)

    few, more = (_clock(lambda steps=steps: fit(steps)) for steps in STEPS)
    weights = sum(value.numel() * value.element_size() for value in new.network.state_dict().values())
    return Speed(max(0.0, more - few) / (STEPS[1] - STEPS[0]), picture, weights, width)


def _clock(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def search_seconds(search: Search, labels: np.ndarray) -> float:
    """About how many seconds a search takes, from a short one on random codes that gather around their classes.

    Args:
        search: what is looked for.
        labels: {0,1} [n, m], of the training pictures.
    """
    reward = _reward_like(search, labels)
    if search.method == "ppo":
        args = ppo.Args(n_bits=search.n_bits, total_episodes=EPISODES, progress=False)
        return _clock(lambda: ppo.train(args, reward=reward)) * search.total_episodes / EPISODES
    bits = min(TIMED_BITS, search.n_bits)
    took = _clock(lambda: selectors.select(None, None, bits, method=search.method, reward=reward))
    return took * search.n_bits / bits


def _reward_like(search: Search, labels: np.ndarray) -> Reward:
    """A reward of as many rows and candidates as the search's own, on codes drawn at random."""
    k, rng = search.setup.code_length, np.random.default_rng(0)
    sets, group = np.unique(labels, axis=0, return_inverse=True)
    sides = rng.integers(0, 2, (len(sets), k), np.uint8)[group.reshape(-1)]
    logits = (6.0 * sides - 3 + rng.normal(0, 3, sides.shape)).astype(np.float32)
    codes = thermometer.bits(logits, search.options.levels)
    queries = sides[:, thermometer.meanings(k, search.options.levels)[0]] if search.options.decided else None
    return Reward(codes, labels, query_codes=queries)


def codes_bytes(setup: Setup, splits: Splits) -> int:
    """Bytes of a key's codes.npz, about: logits hardly compress, and a code takes a bit each."""
    more = setup.settings.recipe.views + (setup.folds > 0)
    rows = _rows(splits, *PARTS) + more * len(splits.train)
    said = splits.train.labels.shape[1] if setup.settings.outputs == "labels" else 0
    return round(rows * (setup.code_length * (4 + 1 / 8) + 4 * said))


def lines(plan: Plan) -> Iterator[str]:
    """The plan in words; measures what is missing, which takes some seconds for each architecture.

    Raises:
        ValueError, FileNotFoundError: a data set that is not there, or what does not fit its pictures.
    """
    kinds = {_kind(setup): setup for setup in (*plan.missing, *plan.missing_mirrored)}
    speeds = {kind: measure(setup, plan.splits(setup)) for kind, setup in kinds.items()}
    yield from _about_fits(plan)
    yield f"encodings: {plan.pictures:,} pictures{_about_features(plan)}"
    if plan.searches:
        yield f"searches: {_of(len(plan.missing_searches), len(plan.searches))}"
    yield from plan.besides
    hours = {name: seconds / 3600 for name, seconds in _seconds(plan, speeds).items()}
    shares = ", ".join(f"{name} {share:.2g}" for name, share in hours.items() if share)
    yield f"about {sum(hours.values()):.2g} CPU hours{f': {shares}' if shares else ''}"
    yield f"about {_bytes(plan, speeds) / 1e6:,.0f} MB of disk"
    for (arch, size, _), speed in speeds.items():
        takes = f"{speed.step:.2g} CPU seconds a training step and {1000 * speed.picture:.2g} ms an encoded picture"
        yield f"measured here and now, with random weights: {arch}{f' at {size} px' if size else ''} takes {takes}"


def _kind(setup: Setup) -> tuple:
    settings = setup.settings
    return settings.arch, settings.size, settings.recipe


def show(plan: Plan) -> None:
    """Print `lines`. Errors as there."""
    for line in lines(plan):
        print(line, flush=True)


def _about_fits(plan: Plan) -> Iterator[str]:
    yield f"fits: {_of(plan.fits, sum(map(fits, plan.codes)))}"
    groups = Counter((setup.label, setup.settings.arch, setup.code_length, setup.folds) for setup in plan.missing)
    for (label, arch, bits, folds), count in groups.items():
        seeds = f"{count} {'seed' if count == 1 else 'seeds'}"
        yield f"  {label}, {arch}, {bits} bits: {seeds} x (1 encoder{f' + {folds} folds' if folds else ''})"


def _of(missing: int, wanted: int) -> str:
    return f"{missing} of {wanted}{'; the others lie there' if missing < wanted else ''}"


def _about_features(plan: Plan) -> str:
    count = sum(count for _, count in plan.features)
    return f", {count:,} of them for features of a frozen trunk, which are kept" if count else ""


def _seconds(plan: Plan, speeds: dict[tuple, Speed]) -> dict[str, float]:
    """CPU seconds of each kind of work."""
    fitting = sum(steps(setup, plan.splits(setup)) * speeds[_kind(setup)].step for setup in plan.missing)
    encoding = sum(count * speeds[_kind(setup)].picture for setup, count in plan.encodings)
    alike: dict[tuple, list[Search]] = {}
    for search in plan.missing_searches:  # those of other seeds, and of other encoders of as many outputs, take as long
        about = search.setup.label, search.setup.code_length, replace(search, setup=None)
        alike.setdefault(about, []).append(search)
    labels = {search.setup.label: plan.splits(search.setup).train.labels for search in plan.missing_searches}
    searching = sum(len(each) * search_seconds(each[0], labels[each[0].setup.label]) for each in alike.values())
    return {"fits": fitting, "encodings": encoding, "searches": searching}


def _bytes(plan: Plan, speeds: dict[tuple, Speed]) -> int:
    made = sum(codes_bytes(setup, plan.splits(setup)) + speeds[_kind(setup)].encoder for setup in plan.missing)
    for setup in plan.missing_mirrored:
        made += round(_rows(plan.splits(setup), *TWICE) * setup.code_length * (4 + 1 / 8))
    return made + sum(2 * count * speeds[_kind(setup)].width for setup, count in plan.features)
