"""Speed and quality against peers: `python -m benchmarks` runs everything, `python -m benchmarks.bench_metrics` one."""

import hashlib_nb  # noqa: F401 - before torch, whichever script runs: it sets how threads wait
