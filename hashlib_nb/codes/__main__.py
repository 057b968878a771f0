"""python -m hashlib_nb.codes: see `hashlib_nb.codes`."""

from hashlib_nb import artifacts
from hashlib_nb.codes import Args, main

if __name__ == "__main__":
    artifacts.run(main, Args)
