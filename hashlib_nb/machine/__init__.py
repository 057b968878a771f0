"""What the machine gives: files on disk, threads, a place for compiled kernels, and how a command ends."""

__all__ = ["ends", "files", "numba_cache", "threads"]
