"""What works on a clone: the lessons and their executed copies, the assignments and their grading, the page served."""

__all__ = ["assignments", "demo", "executed", "grading", "lessons", "marks"]
