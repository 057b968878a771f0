"""Tables, and what must be run for them; only here are several methods known at once."""

__all__ = [
    "ablation",
    "comparison",
    "duels",
    "grid",
    "plan",
    "pools",
    "prices",
    "provenance",
    "published",
    "published_page",
    "published_text",
    "questions",
    "result_tables",
    "results",
    "reward_rows",
    "rival_tables",
    "rivals",
    "robustness",
    "tuning",
    "unseen",
]
