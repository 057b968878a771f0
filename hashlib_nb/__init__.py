"""Image hashing with deep reinforcement learning: a course in notebooks and the package they call."""

import importlib
import os
import sys
import warnings

__version__ = "0.2.0"

# torch and numba share one OpenMP runtime, whose waiting threads would spin: on busy cores that makes training ten
# times slower. The runtime reads this when it is loaded, so import this package before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if sys.argv[:1] == ["-m"]:  # Python says so while it looks for a module of this package that it is to run
    from hashlib_nb.machine import quiet_imports

    quiet_imports()

MOVED = {
    "bit_statistics": "selectors.statistics",
    "budget": "selection",
    "classroom": "course.assignments",
    "codes_io": "hamming.formats",
    "comparison": "experiments.comparison",
    "demo": "course.demo",
    "demo_page": "search.page",
    "encode": "search.encode",
    "grading": "course.grading",
    "index": "search",
    "pools": "experiments.pools",
    "published": "experiments.published",
    "results": "experiments.results",
    "run_course": "course.lessons",
}
"""Modules of version 0.1 and where they are now; their old names work in this version and end with the next."""


def __getattr__(name: str):
    """`from hashlib_nb import OLD` gives the module that took OLD's place, with a warning (PEP 562)."""
    if name not in MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = f"{__name__}.{MOVED[name]}"
    warnings.warn(f"hashlib_nb.{name} is now {new}; the old name ends with 0.3", DeprecationWarning, stacklevel=2)
    return importlib.import_module(new)
