"""Work on many processes and machines, in parts that are files: a database of codes in shards among them."""

from hashlib_nb.scale.parts import default_folder, home, made, part_path, share_home, state_of
from hashlib_nb.scale.workers import MAX_WORKERS, Pool, Where, in_workers, pool

__all__ = [
    "MAX_WORKERS", "Pool", "Where", "default_folder", "home", "in_workers", "made", "part_path", "pool", "shards",
    "share_home", "state_of",
]  # fmt: skip
