"""Tables, and what must be run for them; only here are several methods known at once."""

__all__ = ["comparison", "pools", "published", "questions", "results", "unseen", "workers"]
