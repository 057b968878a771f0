"""The thesis' own method with Algorithm 1 as it is printed: a learning rate of 1, at which tanh freezes noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hashlib_nb.baselines.thesis import Thesis


@dataclass(frozen=True)
class ThesisLiteral(Thesis):
    """`Thesis` with the printed settings of stage 1."""

    TITLE: ClassVar = "thesis, stage 1 as printed"
    target_codes: Literal["repaired", "literal"] = "literal"
    """Algorithm 1 as the thesis prints it, or as `codes` has it."""
