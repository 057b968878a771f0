"""Measure codes from the shell.

python -m hashlib_nb.metrics --codes codes.npz --out report.json        # see --help
python -m hashlib_nb.metrics --codes queries.npz --shards database --workers 4 --out report.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.metrics.reports import check_report, evaluate, report
from hashlib_nb.scale import Where, shards

CODES_AND_LABELS = ("query_codes", "database_codes", "query_labels", "database_labels")


@dataclass(frozen=True)
class Args(Where):
    """Measure binary codes and write a JSON report."""

    codes: Path
    """npz file with query_codes, database_codes {0,1} [n, k] and query_labels, database_labels: {0,1} [n, m] or
    class numbers [n]. Of codes.npz of hashlib-nb encoder, thermometer bits can be measured."""

    out: Path
    """Where the report goes (JSON); an earlier report is replaced once the new one is whole, any other file is not."""

    selection: Path | None = None
    """JSON file with {"bits": [...]}, the indices of the bits to keep, and for thermometer bits the output and the
    threshold of each; every bit if left out, at one half."""

    decided: bool = False
    """A query takes the code of its likeliest class, which is a classifier's word; database codes stay. It needs the
    logits and class codes that hashlib-nb encoder writes."""

    top_n: tuple[int, ...] = ()
    """Cut-offs at which mAP is reported beside the one over the whole database."""

    at_n: tuple[int, ...] = (1, 10, 100, 1000)
    """Cut-offs of P@N; those beyond the database are left out."""

    radius: int = 2
    """Radius of the Hamming ball whose precision is reported, in bits."""

    denominator: Literal["min(R,N)", "R", "hits"] = "min(R,N)"
    """What average precision is divided by; "hits" is lenient: use it only to compare with papers that do."""

    leave_one_out: bool = False
    """Row i of queries and database is one item, with equal labels, which is left out of its own ranking."""

    shards: tuple[Path, ...] = ()
    """The database in files, as hashlib_nb.scale.shards.save writes them, and folders of such; of --codes the queries
    alone are read then. Each is counted by itself, and what it gives is kept, so that the same command goes on where it
    was ended."""

    parts: Path | None = None
    """Folder for what shards give, which all workers must see; by default in artifacts/parts."""

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        super().__post_init__()
        if self.shards and self.leave_one_out:
            raise ValueError("leave_one_out is for one set of items, and shards are another: leave out either")
        if not self.shards and (self.parts is not None or not self.alone):
            raise ValueError("workers, scheduler, dashboard and parts are for shards: name some, or leave them out")


def main(args: Args) -> None:
    """Measures the codes that args name, writes the report and prints its table.

    Raises:
        ValueError: a file that is not there or does not hold what it should, or anything that `evaluate` refuses.
    """
    artifacts.check_writable(args.out, artifacts.replaces_json("map", "n_queries"))
    arrays = artifacts.read_npz(args.codes, CODES_AND_LABELS[:: 2 if args.shards else 1])
    graded = args.selection is not None and _is_graded(args.selection)
    if graded and args.shards:
        raise ValueError(
            f"selection: {artifacts.shown(args.selection)} keeps thermometer bits, which are made of logits, and "
            "shards have codes: write shards of the kept bits, and leave selection out"
        )
    bits, about = None, {"decided": args.decided}
    if args.selection is not None and not graded:
        codes = arrays["query_codes"]
        bits = artifacts.read_selection(args.selection, codes.shape[1] if codes.ndim == 2 else None)
    if graded or args.decided:
        made, asks = _of_logits(args, graded)
        arrays, about = arrays | made, about | asks
    asked = {name: getattr(args, name) for name in ("top_n", "at_n", "radius", "denominator")}
    if args.shards:
        found = _of_shards(args, arrays, bits, asked)
    else:
        found = evaluate(**arrays, **asked, bits=bits, leave_one_out=args.leave_one_out)
    found |= about
    artifacts.save_json(args.out, found | {"codes": str(args.codes)})
    print(_table(found))
    if args.decided:
        print("queries: the code of their likeliest class by all outputs; database: codes of its own")
    print(f"report: {args.out}")


def _of_shards(args: Args, arrays: dict[str, np.ndarray], bits: np.ndarray | None, asked: dict[str, Any]) -> dict:
    """The report of queries and a database in files, as `evaluate` gives it of one in memory."""
    check_report(**asked)
    found = shards.find(args.shards)
    queries = arrays["query_codes"], arrays["query_labels"]
    counted = shards.histograms(*queries, found, args, bits=bits, parts=args.parts)
    return report(counted, **asked) | {
        "n_database": found[-1].stop,
        "code_length": found[0].code_length,
        "bits": None if bits is None else [int(bit) for bit in bits],
        "leave_one_out": False,
        "shards": [*map(str, args.shards)],
    }


def _is_graded(selection: Path) -> bool:
    """Whether a selection's file keeps thermometer bits."""
    about = artifacts.load_json(selection)
    return isinstance(about, dict) and about.get("outputs") is not None


def _of_logits(args: Args, graded: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Codes of query and database that are made of logits, in place of those at one half, and what the report says.

    Args:
        args: the command's.
        graded: whether the selection keeps thermometer bits.
    """
    from hashlib_nb import thermometer  # a later room, which this command alone knows

    needed = ["query_logits", *["database_logits"] * graded, *thermometer.CLASS_ARRAYS * args.decided]
    try:
        found = artifacts.read_npz(args.codes, needed)
    except artifacts.ArtifactError as error:
        what = "decided queries need class codes" if args.decided else "thermometer bits are made of logits"
        raise ValueError(f"{what}: {error}, as hashlib-nb encoder writes it") from error
    outputs, made, about = None, {}, {}
    if graded:
        logits = found["query_logits"]
        outputs, thresholds = thermometer.read_meaning(args.selection, logits.shape[1] if logits.ndim == 2 else None)
        for side in ("query", "database"):
            made[f"{side}_codes"] = thermometer.code(found[f"{side}_logits"], outputs, thresholds)
        bits = artifacts.read_selection(args.selection).tolist()
        about = {"bits": bits, **thermometer.meaning(outputs, thresholds)}
    if args.decided:
        try:
            classes = thermometer.ClassCodes.from_arrays(found)
            made["query_codes"] = thermometer.decide(found["query_logits"], classes, outputs)
        except ValueError as error:
            raise ValueError(
                f"decided queries need class codes, but those of {args.codes} are none ({error})"
            ) from error
    return made, about


def _table(found: dict) -> str:
    left_out = found["queries_without_relevant"]
    lines = [
        f"{found['n_queries']} queries ({left_out} without a relevant item left out), "
        f"{found['n_database']} database items, {found['n_bits']} of {found['code_length']} bits",
        f"{'':12}{'expected':>10}{'pessimistic':>13}{'optimistic':>12}{'chance':>9}",
    ]
    for cut_off, row in found["map"].items():
        values = f"{row['expected']:10.4f}{row['pessimistic']:13.4f}{row['optimistic']:12.4f}{row['chance']:9.4f}"
        lines.append(f"{'mAP@' + cut_off:12}{values}")
    chance = found["chance_precision"]
    radius = f"P@H<={found['radius']}"
    lines.append(f"{radius:12}{found['precision_within_radius']:10.4f}   empty balls {found['empty_ball_rate']:.1%}")
    lines += [f"{'P@' + n:12}{value:10.4f}{chance:34.4f}" for n, value in found["precision_at_n"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    artifacts.run(main, Args)
