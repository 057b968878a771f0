"""Numbers of the stored results that pages quote, read when the book is built: {{ name }} in a page is one of them."""

from __future__ import annotations

import json
from pathlib import Path


def substitutions(results: Path) -> dict[str, str]:
    """Name and text of each number; the table they come from is `results/fashion-mini.json`.

    chosen_8 and all_64 are mAP of decided queries with 8 chosen thermometer bits, and with all 64 outputs at one half;
    chosen_16 is the first with 16 bits; gain is chosen_8 - all_64 in points.
    """
    summary = json.loads((results / "fashion-mini.json").read_text(encoding="utf-8"))["summary"]
    found = {(row["method"], row["bits"]): row["map"] for row in summary}
    chosen, everything = found["decided PPO", 8], found["all bits", 64]
    return {
        "chosen_8": f"{chosen:.3f}",
        "chosen_16": f"{found['decided PPO', 16]:.3f}",
        "all_64": f"{everything:.3f}",
        "gain": f"{100 * (chosen - everything):+.1f}",
    }
