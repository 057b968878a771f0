"""Image hashing with deep reinforcement learning: the package behind the course notebooks."""

__version__ = "0.1.0"
