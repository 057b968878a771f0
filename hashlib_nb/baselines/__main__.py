"""Fit one of other people's methods to a data set, from the shell.

python -m hashlib_nb.baselines hashnet --dataset fashion-mini --code-length 32        # see --help
"""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from hashlib_nb import artifacts, checks, datasets
from hashlib_nb.baselines.registry import fit, method, names
from hashlib_nb.datasets import PARTS
from hashlib_nb.encoder import Settings
from hashlib_nb.hamming import MAX_BITS


@dataclass(frozen=True)
class Args:
    """Fit a method to the training pictures, and write the codes of query, training and database pictures.

    hashlib-nb metrics measures codes.npz, hashlib-nb selectors chooses among its bits. A trained method takes the
    network and the recipe of the encoder's options; another one the features of a frozen trunk (--arch
    efficientnet_lite0_frozen), or else pixels.
    """

    name: Annotated[str, tyro.conf.Positional] = "list"
    """which method; "list" says what there is, with the settings that each takes, and fits nothing"""
    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond that, as name=value"""
    code_length: Annotated[int, tyro.conf.arg(aliases=["--bits"])] = 64
    """k, bits of a code"""
    seed: int = 0
    """of everything"""
    set: tuple[str, ...] = ()
    """settings of the method, as name=value: growth=7 lr=0.002"""
    out: Path = Path("baseline")
    """folder to write: codes.npz, and what `baselines.load` reads; only files of these names are replaced"""
    progress: bool = True
    """show a bar where something is trained"""
    training: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        if self.name != "list":
            method(self.name, **settings_of(self.set))
        checks.fields(self, checks.count, "code_length", most=MAX_BITS)
        checks.fields(self, checks.seed, "seed")


def settings_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """Settings of texts like "growth=7": numbers where they can be read as such. Raises ValueError for other texts."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"set is {text!r}; give settings as name=value")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def main(args: Args) -> None:
    """Fit, encode and write.

    Raises:
        ValueError: what `baselines.fit` refuses, or a place that cannot be written to.
    """
    if args.name == "list":
        print("\n".join(described(name) for name in names()))
        return
    path = args.out / artifacts.CODES
    artifacts.check_writable(path, artifacts.replaces_npz("train_codes"))
    splits = datasets.load(args.dataset, root=args.root, **dict(datasets.typed_options(args.dataset, args.options)))
    start = time.perf_counter()
    fitted = fit(
        args.name,
        splits.train.images,
        splits.train.labels,
        args.code_length,
        seed=args.seed,
        training=args.training,
        progress=args.progress,
        **settings_of(args.set),
    )
    arrays = {f"{part}_labels": getattr(splits, part).labels for part in PARTS}
    for part in PARTS:
        arrays[f"{part}_logits"] = fitted.logits(getattr(splits, part).images)
        arrays[f"{part}_codes"] = (arrays[f"{part}_logits"] >= 0).astype("uint8")
    fitted.save(args.out)
    artifacts.save_npz(path, arrays, made_by="hashlib_nb.baselines", args={"name": args.name, "seed": args.seed})
    seconds = time.perf_counter() - start
    print(f"{fitted.method.TITLE}: saved {artifacts.shown(path)}, codes of {args.code_length} bits ({seconds:.0f} s)")


def described(name: str) -> str:
    """A method in a few lines: who published it, what it minimizes or does, and its settings."""
    made = method(name)
    settings = ", ".join(f"{each.name}={getattr(made, each.name)}" for each in fields(made)) or "none"
    return f"{name}: {made.TITLE} ({made.PAPER})\n    {type(made).__doc__.partition(chr(10))[0]}\n    set: {settings}"


if __name__ == "__main__":
    artifacts.run(main, Args)
