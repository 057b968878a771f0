"""Tables, and what must be run for them; only here are several methods known at once."""

__all__ = [
    "comparison",
    "plan",
    "pools",
    "provenance",
    "published",
    "questions",
    "result_tables",
    "results",
    "reward_rows",
    "rival_tables",
    "rivals",
    "unseen",
    "workers",
]
