"""Image hashing with deep reinforcement learning: a course in notebooks and the package they call."""

import os

__version__ = "0.1.0"

# torch and numba share one OpenMP runtime, whose waiting threads would spin: on busy cores that makes training ten
# times slower. The runtime reads this when it is loaded, so import this package before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
