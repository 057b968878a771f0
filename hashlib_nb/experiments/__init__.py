"""Tables, and what must be run for them; only here are several methods known at once."""

__all__ = [
    "ablation",
    "comparison",
    "plan",
    "pools",
    "provenance",
    "published",
    "questions",
    "results",
    "reward_rows",
    "rivals",
    "unseen",
    "workers",
]
