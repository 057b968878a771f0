"""What works on a clone: the lessons, their executed copies, the assignments and their grading, the search page served."""

__all__ = ["assignments", "demo", "executed", "grading", "lessons"]
