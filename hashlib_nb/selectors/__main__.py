"""Choose which bits of anybody's codes to keep, from the shell.

python -m hashlib_nb.selectors --codes codes.npy --labels labels.npy --n-bits 16 --method greedy        # see --help
"""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from hashlib_nb import artifacts, checks, thermometer
from hashlib_nb.hamming import MAX_BITS, as_codes, as_labels, pack_bytes
from hashlib_nb.selection import MAX_QUERIES, MOST, Reward, check_n_bits, random_masks
from hashlib_nb.selectors.nested import (
    PREFIX_LENGTHS,
    check_nested,
    nested_order,
    prefix_lengths,
    random_orders,
)
from hashlib_nb.selectors.registry import METHODS, check, parse_settings, select


@dataclass(frozen=True)
class Args:
    """Choose which bits of binary codes to keep.

    The reward is tie-aware mAP on the codes given: each of them is a query against all the others (leave one out), or,
    with more rows than n_queries, that many drawn ones are queries against the rest. What is reported was optimized on
    these codes, so measure the kept bits on queries that had no part in it.
    """

    codes: Path
    """npy or npz file: 0/1 or -1/+1 [n, k], or bytes packed in little bit order, uint8 [n, k/8]; it says which. Of the
    candidates that hashlib-nb thermometer writes, those that differ are chosen among"""
    n_bits: Annotated[int, tyro.conf.arg(aliases=["--bits"])]
    """p, how many bits to keep"""
    labels: Path | None = None
    """npy or npz file: a 0/1 matrix [n, m] or one class index a row [n]; the file of the codes if left out"""
    method: Annotated[str, tyro.conf.arg(help=f"how: {', '.join(METHODS)}")] = "greedy"
    """a name in `METHODS`"""
    nested: bool = False
    """choose an order whose every prefix is a good code, by method greedy (and exchanges from there) or ppo, so that
    hashlib-nb encode can cut codes to any length with --n-bits; the reward is then the mean over lengths"""
    lengths: tuple[int, ...] = PREFIX_LENGTHS
    """prefixes that nested takes the mean over: of these, those below n_bits, and n_bits"""
    budget: int | None = None
    """most reward calls to spend; as many as the method takes (2,000 for one that would not end, 8,000 for a nested
    order of ppo) if left out"""
    seed: int = 0
    """of the method and of the draw of queries"""
    settings: tuple[str, ...] = ()
    """the method's own settings, as name=value, in place of their defaults; an unknown name lists those there are"""
    n_queries: int = MAX_QUERIES
    """most rows used as queries; with fewer rows than this, every row is one"""
    codes_array: str | None = None
    """which array of an npz file holds the codes, such as out_of_fold_codes; "codes", or the only one, if left out"""
    labels_array: str | None = None
    """which array of an npz file holds the labels, such as train_labels; "labels" if left out, or the only one of
    `labels`"""
    code_length: int | None = None
    """k of packed codes that are filled up to whole bytes"""
    decided: bool = True
    """where hashlib-nb thermometer knew class codes, a query takes the code of its likeliest class, which is a
    classifier's word, while the rows that it is compared with keep theirs; without, both have codes of one kind"""
    out: Path = Path("selection")
    """folder for bits.npy (kept indices), codes.npy (shrunk codes, packed for binary indexes) and report.json; only
    those of an earlier selection are replaced"""
    progress: bool = True
    """show a bar"""


RANDOM_SUBSETS = 20
"""Random subsets that a report compares with."""


def main(args: Args) -> None:
    """Choose bits of the codes that args name; write the kept indices, the shrunk codes and a report.

    Raises:
        ValueError: a file that is not there or does not hold what it should, or anything that `select` refuses.
    """
    check(args.method, args.budget, args.seed)
    settings = parse_settings(args.method, args.settings)
    lengths = prefix_lengths(checks.count(args.n_bits, "n_bits", most=MAX_BITS), args.lengths)
    if args.nested:
        check_nested(args.method, args.budget, lengths)
        if settings:
            raise ValueError(f"settings is {checks.shown(args.settings)}, which --nested does not take: leave one out")
    elif args.lengths != PREFIX_LENGTHS:
        raise ValueError(f"lengths is {checks.shown(args.lengths)}, of which --nested alone takes the mean: add it")
    checks.count(args.n_queries, "n_queries", most=MOST)
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"out is {artifacts.shown(args.out)}, which is a file: name a folder")
    _check_outputs(args)
    codes, codes_found = as_codes(artifacts.read_array(args.codes, "codes", args.codes_array), args.code_length)
    labels, labels_found = as_labels(_read_labels(args))
    n, k = codes.shape
    print(f"found codes: {codes_found}, {n} rows of {k} bits; labels: {labels_found}")
    asked = _Asked.of(args, codes)
    ids, queries = asked.ids, asked.query_codes
    reward = Reward(
        codes[:, ids],
        labels,
        query_codes=None if queries is None else queries[:, ids],
        n_queries=args.n_queries,
        seed=args.seed,
    )
    check_n_bits(args.n_bits, len(ids))
    asked_for = {"method": args.method, "budget": args.budget, "seed": args.seed, "progress": args.progress}
    if args.nested:
        found = nested_order(None, None, args.n_bits, lengths=args.lengths, reward=reward, **asked_for)
        chance = random_orders(reward, lengths, RANDOM_SUBSETS, args.seed).mean(axis=1)
        prefixes = {name: found.history[name].tolist() for name in ("prefix_lengths", "prefix_rewards")}
    else:
        found = select(None, None, args.n_bits, reward=reward, settings=settings, **asked_for)
        chance = reward(random_masks(len(ids), args.n_bits, RANDOM_SUBSETS, args.seed))
        prefixes = {}
    bits = ids[found.bits]
    report = {
        "bits": bits.tolist(),
        **asked.meaning(bits),
        "decided": queries is not None,
        "method": found.method,
        "settings": settings,
        "reward": found.reward,
        **prefixes,
        "reward_of_all_bits": reward.of_bits(range(len(ids))),
        "reward_of_random_subsets": {"mean": chance.mean(), "sd": chance.std(ddof=1), "subsets": RANDOM_SUBSETS},
        "calls": found.calls,
        "seconds": found.history["seconds"][-1],
        "budget": args.budget,
        "seed": args.seed,
        "n": n,
        "k": k,
        "p": args.n_bits,
        "n_queries": reward.pairs.n_queries,
        "codes_found": codes_found,
        "labels_found": labels_found,
    }
    _write(args.out, report, bits, pack_bytes(codes[:, bits]))
    seconds, everything = report["seconds"], report["reward_of_all_bits"]
    print(f"kept {args.n_bits} of {k} bits: {' '.join(map(str, bits))}")
    if args.nested:
        each = [f"{length} bits {value:.4f}" for length, value in zip(*prefixes.values(), strict=True)]
        print("mAP of prefixes:", ", ".join(each))
    print(
        f"reward ({'their mean' if args.nested else 'mAP'}) {found.reward:.4f} after {found.calls} calls and "
        f"{seconds:.1f} s; all {len(ids)} bits {everything:.4f}, random {'orders' if args.nested else 'subsets'} "
        f"{chance.mean():.4f} ± {chance.std(ddof=1):.4f}\nsaved {artifacts.shown(args.out)}"
    )


@dataclass(frozen=True)
class _Asked:
    """What is known of candidates beside their codes: of the bits of other programs, nothing."""

    ids: np.ndarray
    """int64, those that are chosen among."""
    outputs: np.ndarray | None = None
    """int64 [k], the output that each asks."""
    thresholds: np.ndarray | None = None
    """float32 [k], in logits."""
    query_codes: np.ndarray | None = None
    """{0,1} [n, k], of decided queries."""

    @classmethod
    def of(cls, args: Args, codes: np.ndarray) -> _Asked:
        """Read what lies beside `codes` in a file of hashlib-nb thermometer; says what it leaves out."""
        n, k = codes.shape
        if args.codes_array not in (None, "codes") or not zipfile.is_zipfile(args.codes):
            return cls(np.arange(k))
        arrays = artifacts.read_npz(args.codes)
        if not {"codes", "outputs", "thresholds"} <= arrays.keys():
            return cls(np.arange(k))
        queries = as_codes(arrays["query_codes"])[0] if args.decided and "query_codes" in arrays else None
        asks = arrays["outputs"], arrays["thresholds"]
        if any(each.shape != (k,) for each in asks) or queries is not None and queries.shape != codes.shape:
            raise ValueError(f"codes is {artifacts.shown(args.codes)}, whose arrays do not fit together: make it anew")
        ids = thermometer.distinct(codes, queries)
        if not len(ids):
            raise ValueError(f"codes is {artifacts.shown(args.codes)}, of which no candidate differs on its {n} rows")
        try:
            thermometer.check_meaning(asks[0][ids], asks[1][ids])
        except ValueError as error:
            raise ValueError(f"codes is {artifacts.shown(args.codes)}, which cannot be used ({error})") from error
        print(f"{thermometer.remark(len(ids), k, n)}; queries are {'symmetric' if queries is None else 'decided'}")
        return cls(ids, *asks, queries)

    def meaning(self, bits: np.ndarray) -> dict[str, list]:
        """What the report says of kept bits."""
        return {} if self.outputs is None else thermometer.meaning(self.outputs[bits], self.thresholds[bits])


def _read_labels(args: Args) -> np.ndarray:
    """The labels' array; from the file of the codes, it must be named there, or it could be the codes themselves."""
    if args.labels is not None:
        return artifacts.read_array(args.labels, "labels", args.labels_array)
    if not zipfile.is_zipfile(args.codes):
        raise ValueError(
            f"labels is left out, but {artifacts.shown(args.codes)} holds one array: name a file of labels"
        )
    return artifacts.read_array(args.codes, "labels", args.labels_array or "labels")


REPORT = "report.json"


def _check_outputs(args: Args) -> None:
    """Raise ValueError where files would be replaced that are not an earlier selection's, or that are read here."""
    for name in ("bits.npy", "codes.npy", REPORT):
        path, about = args.out / name, args.out / REPORT
        earlier = artifacts.replaces_json("bits", "method", "reward_of_all_bits")
        artifacts.check_writable(path, lambda _, about=about, earlier=earlier: about.is_file() and earlier(about))
        for given in ("codes", "labels"):
            source = getattr(args, given)
            if source is not None and path.exists() and source.exists() and path.samefile(source):
                raise ValueError(
                    f"out is {artifacts.shown(args.out)}, whose {name} has the {given}: name another folder"
                )


def _write(folder: Path, report: dict, bits: np.ndarray, packed: np.ndarray) -> None:
    """Write the three files, all whole before the first takes its place; the report has the digests of the others."""
    content = {}
    with artifacts.locked(folder / "selection"), ExitStack() as stack:
        for name, array in (("bits.npy", bits), ("codes.npy", packed)):
            partial = stack.enter_context(artifacts.atomic(folder / name))
            with open(partial, "wb") as file:
                np.save(file, array)
            content[name] = artifacts.sha256(partial).hex()
        artifacts.save_json(folder / REPORT, report | {"sha256": content})


if __name__ == "__main__":
    artifacts.run(main, Args)
