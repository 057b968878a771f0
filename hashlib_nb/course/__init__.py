"""What works on a clone: the lessons, the assignments and their grading, the search page served."""

__all__ = ["assignments", "demo", "grading", "lessons"]
