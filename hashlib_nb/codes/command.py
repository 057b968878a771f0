"""Stage 1 from the shell, and what there is to say about codes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from hashlib_nb import artifacts, datasets
from hashlib_nb.codes.inference import PRESETS, TargetCodes, checked, infer_codes, load_or_infer, with_defaults
from hashlib_nb.codes.labels import LabelSets


@dataclass(frozen=True)
class Args:
    """Stage 1: infer target codes from labels and write them to an npz file."""

    dataset: str = "fashion-mini"
    """whose training labels to use (a name in hashlib_nb.datasets)"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the data set takes beyond that, as name=value: protocol=59k exclude=person,car"""
    labels: Path | None = None
    """labels to use instead of a data set's, {0,1} [n, m] or class numbers [n]: a .npy file, or a .txt list (see
    datasets/lists.py)"""
    code_length: Annotated[int, tyro.conf.arg(aliases=["--bits"])] = 64
    """length k of the codes"""
    literal: bool = False
    """the preset of the thesis' settings as written (Adam at 1.0 from N(0, 1), no discrete finish); what else is given
    comes on top"""
    epochs: int = 100
    """Adam steps, each with the gradient of the whole similarity matrix"""
    lr: float | None = None
    """Adam's learning rate; by default 0.3, with literal 1.0"""
    init_scale: float | None = None
    """standard deviation of W at the start; by default 0.1, with literal 1.0"""
    quantization_weight: float = 1.0
    """lambda, the weight of the quantization penalty"""
    finish_sweeps: int | None = None
    """sweeps of the discrete finish; by default 50, with literal 0"""
    block_size: int | None = None
    """sum the gradient over blocks of this size, as the thesis does, instead of factorizing it"""
    seed: int = 0
    """of the initial W and of the discrete finish"""
    out: Path | None = None
    """npz to write; by default artifacts/<dataset>-k<bits>-s<seed>/target_codes.npz. Another program's file is not
    replaced"""
    report: Path | None = None
    """JSON to write: objective, codes a label set, seconds and peak memory; codes that exist already are made anew"""


def _labels_of(args: Args) -> tuple[np.ndarray, str]:
    """Labels and a name for them."""
    if args.labels is None:
        options = dict(datasets.typed_options(args.dataset, args.options))
        name = datasets.label(args.dataset, root=args.root, options=options)
        return datasets.load(args.dataset, root=args.root, **options).train.labels, name
    if args.labels.suffix != ".txt":
        return artifacts.load_npy(args.labels), args.labels.stem
    from hashlib_nb.datasets import read_list

    return read_list(args.labels)[1], f"{artifacts.absolute(args.labels).parent.name}-{args.labels.stem}"


def summarize(target: TargetCodes, labels: np.ndarray) -> dict[str, float | int | None]:
    """What there is to say about codes: how near they are to S, and how many of them a label set has.

    Args:
        target: the codes.
        labels: {0,1} [n, m], or class numbers int [n]: what they were inferred from.

    Returns:
        Plain numbers for JSON. `objective` and `lower_bound` as in `TargetCodes`; `gap` is None where the bound is 0.
    """
    groups = LabelSets.of(labels)
    pairs = np.unique(np.column_stack([groups.index, _rows_as_numbers(target.codes)]), axis=0)
    return {
        "n": len(labels),
        "concepts": labels.shape[1] if labels.ndim == 2 else len(groups.sets),
        "label_sets": len(groups.sets),
        "bits": target.codes.shape[1],
        "objective": target.objective,
        "lower_bound": target.lower_bound,
        "gap": None if np.isnan(target.gap) else target.gap,
        "distinct_codes": len(np.unique(target.codes, axis=0)),
        "codes_per_label_set": len(pairs) / len(groups.sets),
    }


def _rows_as_numbers(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def main(args: Args) -> None:
    """Run stage 1 from the shell."""
    for path, replaces in (
        (args.out, artifacts.replaces_npz("codes", "objective")),
        (args.report, artifacts.replaces_json("objective")),
    ):
        if path is not None:
            artifacts.check_writable(path, replaces)
    settings = PRESETS["literal" if args.literal else "repaired"] | {
        field: getattr(args, field)
        for field in ("seed", "epochs", "block_size", "quantization_weight", "lr", "init_scale", "finish_sweeps")
        if getattr(args, field) is not None
    }
    checked(bits=args.code_length, **with_defaults(settings))
    labels, name = _labels_of(args)
    path = args.out or artifacts.folder(name, args.code_length, args.seed) / "target_codes.npz"
    start = time.perf_counter()
    if args.report is None:
        target = load_or_infer(path, labels, args.code_length, **settings)
    else:  # what is measured must be done
        target = infer_codes(labels, args.code_length, **settings)
    seconds = time.perf_counter() - start
    about = summarize(target, labels)
    above = f"{100 * target.gap:.1f}% above the lower bound {target.lower_bound:.4f}"
    print(
        f"{about['n']} codes of {args.code_length} bits, {about['distinct_codes']} distinct; "
        f"objective {target.objective:.4f}, {'no gap: the bound is 0' if np.isnan(target.gap) else above}"
    )
    if args.report is not None:
        measured = {"seconds": seconds, "peak_memory_mb": artifacts.peak_memory_mb()}
        record = {"command": artifacts.command("codes", args), "labels": name, "seed": args.seed, **about, **measured}
        artifacts.save_json(args.report, record)
        print(f"{seconds:.0f} s, peak memory {measured['peak_memory_mb']:,.0f} MB: {artifacts.shown(args.report)}")
