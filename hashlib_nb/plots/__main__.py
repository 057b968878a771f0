"""Take the figures of a run over into `figures/`, which the repository keeps: `make figures`.

python -m hashlib_nb.plots                        # every figure that figures/ has and a run has drawn anew
python -m hashlib_nb.plots 01_convergence 07_new  # these alone, the second for the first time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from hashlib_nb import artifacts


@dataclass(frozen=True)
class Args:
    """Copy figures from runs/figures/, where notebooks save them, to figures/, and say which have changed."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """figures to copy, without .png; by default those that figures/ has already"""


def main(args: Args) -> None:
    """Copy, and print a line for each figure that changed and one for those that are not in figures/."""
    kept, drawn = artifacts.project_root() / "figures", artifacts.project_root() / "runs" / "figures"
    made = {path.stem: path.read_bytes() for path in sorted(drawn.glob("*.png"))}
    if not made:
        raise ValueError(f"{artifacts.shown(drawn)} has no figures; run the notebooks first: make course")
    if unknown := [name for name in args.names if name not in made]:
        raise ValueError(f"names has {unknown[0]!r}; {artifacts.shown(drawn)} has {', '.join(made)}")
    old = {path.stem: path.read_bytes() for path in kept.glob("*.png")}
    chosen = args.names or [name for name in made if name in old]
    changed = [name for name in chosen if made[name] != old.get(name)]
    for name in changed:
        with artifacts.atomic(kept / f"{name}.png") as partial:
            partial.write_bytes(made[name])
        print(f"{artifacts.shown(kept / name)}.png {'changed' if name in old else 'added'}")
    print(f"{len(chosen) - len(changed)} of {len(chosen)} figures are as they were")
    if others := sorted(made.keys() - old.keys() - set(chosen)):
        print(f"not in {artifacts.shown(kept)}, name them to add them: {', '.join(others)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
