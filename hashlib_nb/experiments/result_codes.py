"""The codes whose rows a results table has: kept bits of every way to choose, codes of a fixed length, direct ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import artifacts, candidates, hamming, selection, selectors, thermometer
from hashlib_nb.baselines import class_index_codes, random_codes
from hashlib_nb.candidates import Candidates, Options
from hashlib_nb.encoder import Setup
from hashlib_nb.experiments.result_tables import CHANCE, MIRRORED, SEARCHES
from hashlib_nb.thermometer import HALF, ClassCodes, predict_classes

if TYPE_CHECKING:
    from hashlib_nb.encoder import ImageCodes
    from hashlib_nb.experiments import results


@dataclass(frozen=True, eq=False)
class Code:
    """One code of one method, ready to be measured."""

    method: str
    """A row of the table in `results`."""
    query: np.ndarray
    """uint8 {0,1} [q, p]."""
    database: np.ndarray
    """uint8 {0,1} [n, p]."""
    draw: int = 0
    """Which of the random subsets it is."""
    selection: selection.Selection | None = None
    """How its bits were found, where they were searched for."""


def codes_of_length(args: results.Args, setup: Setup, n_bits: int) -> Iterator[Code]:
    """Every code of `n_bits` bits; `setup` is the key of the seed's k-bit codes.

    Where fewer candidates than that are distinct, the rows that choose among them are left out.
    """
    made, k = setup.codes(progress=False), args.code_length
    again = mirrored_codes(setup) if args.mirrored else None
    for word, options in args.kinds.items():
        pool = setup.candidates(options)
        twice = candidates.of_arrays(again.arrays, options) if again and word else None

        def kept(method: str, bits: np.ndarray, pool: Candidates = pool, **about) -> Code:
            return Code(method, *pool.test_codes(bits), **about)

        if n_bits > pool.k:
            continue
        for name in SEARCHES:
            method = f"{word}{selectors.METHODS[name].title}"
            found = None if n_bits == pool.k else select(args, setup, name, n_bits, options)
            bits = pool.searched if found is None else found.bits
            yield kept(method, bits, selection=found)
            if twice is not None:
                yield Code(f"{MIRRORED}{method}", *twice.test_codes(bits), selection=found)
            if found is not None and options.decided and name == SEARCHES[0]:
                yield decided_by_kept_bits(pool, bits, made.classes)
        for draw, mask in enumerate(selection.random_masks(pool.k, n_bits, args.subsets, setup.seed)):
            yield kept(f"{word}random", pool.searched[np.flatnonzero(mask)], draw=draw)
        if options.decided:
            path = setup.selection_path("oracle", n_bits, options)
            seen = {"data": pool.digest(), "test": artifacts.digest(*pool.test_codes(slice(None))), "n_bits": n_bits}
            seen |= {"labels": artifacts.digest(pool.query_labels, pool.database_labels), "seed": setup.seed}
            best = selection.load_or_make(path, seen, partial(oracle, pool, n_bits, setup.seed))
            yield kept("oracle", best.bits)
    if n_bits <= k:
        yield Code("first p", made.query[:, :n_bits], made.database[:, :n_bits])
    if args.direct:
        yield Code("direct", *direct_codes(setup, n_bits))
    coins = random_codes(len(made.query) + len(made.database), n_bits, setup.seed)
    yield Code(CHANCE, coins[: len(made.query)], coins[len(made.query) :])


def direct_setup(setup: Setup, n_bits: int) -> Setup:
    """The key of an encoder that is trained for so many bits, on the pictures and seed of another, without folds."""
    return replace(setup, code_length=n_bits, folds=0, source="own")


def direct_codes(setup: Setup, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of query and database from p target codes of stage 1 and no choice, each output asked at one half.

    An encoder is trained for them; one that was fitted to labels answers them as it is.
    """
    made = setup.codes(progress=False)
    if n_bits == setup.code_length:
        return made.query, made.database
    shorter = direct_setup(setup, n_bits)
    if setup.settings.outputs == "bits":
        direct = shorter.codes(progress=False)
        return direct.query, direct.database
    sides = ClassCodes.of(shorter.targets(), made.arrays["train_labels"]).codes
    answers = (thermometer.logits_of(made.posteriors(part), sides) for part in ("query", "database"))
    query, database = (thermometer.bits(logits, HALF) for logits in answers)
    return query, database


def mirrored_codes(setup: Setup) -> ImageCodes:
    """The codes of logits averaged over query and database pictures and their mirror images."""
    arrays = setup.mirrored()
    return replace(
        setup.codes(progress=False), query=arrays["query_codes"], database=arrays["database_codes"], arrays=arrays
    )


def decided_by_kept_bits(pool: Candidates, bits: np.ndarray, classes: ClassCodes) -> Code:
    """Queries take the code of the class whose code differs least from their own p bits, and no other output counts."""
    outputs = bits if pool.outputs is None else pool.outputs[bits]
    class_codes = classes.codes[:, outputs]
    decided = hamming.nearest(pool.query_codes[:, bits], class_codes, 1).indices[:, 0]
    return Code("decided by p bits", class_codes[decided], pool.database_codes[:, bits])


def oracle(pool: Candidates, n_bits: int, seed: int = 0) -> selection.Selection:
    """The candidates that greedy keeps where the test pictures' own labels pay: what a perfect reward could find."""
    queries, database = pool.test_codes(pool.searched)
    reward = selection.Reward.of_queries(queries, pool.query_labels, database, pool.database_labels)
    return pool.named(selectors.select(None, None, n_bits, method="greedy", reward=reward, seed=seed))


def codes_of_fixed_length(made: ImageCodes) -> Iterator[Code]:
    """All k bits, and the class index that they predict."""
    yield Code("all bits", made.query, made.database)
    labels = made.arrays["train_labels"]
    n_classes = len(np.unique(labels, axis=0))
    predicted = [predict_classes(part, made.targets, labels) for part in (made.query, made.database)]
    yield Code("class index", *(class_index_codes(classes, n_classes) for classes in predicted))


def select(
    args: results.Args, setup: Setup, name: str, n_bits: int, options: Options | None = None
) -> selection.Selection:
    """The bits that a method of `selectors` keeps, with the episodes that `args` ask for.

    Args:
        args: of the table.
        setup: key of the codes.
        name: of the method.
        n_bits: p.
        options: the candidates; None for the first kind in `args`: thermometer bits for decided queries, if it has any.
    """
    options = options or next(iter(args.kinds.values()))
    return setup.select(name, n_bits, options, total_episodes=args.total_episodes)
