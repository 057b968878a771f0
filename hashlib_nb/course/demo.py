"""The search page of notebook 06, served to this machine.

    python -m hashlib_nb demo                          # makes what is missing, then serves the page to this machine
    python -m hashlib_nb demo --parameters bits=32     # with other parameters of notebook 06

runs notebook 06, which leaves its codes and selections in `artifacts/`, and serves the executed copy in `runs/` by
Voila: the same cells without the lesson's, in a process of their own for each visitor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import ppo, selection, selectors
from hashlib_nb.artifacts import project_root, run
from hashlib_nb.candidates import THESIS, Candidates, Options
from hashlib_nb.experiments import results
from hashlib_nb.search import page

if TYPE_CHECKING:
    from traitlets.config import Config

    from hashlib_nb.encoder import Setup


NOTEBOOK = "06_retrieval_demo.ipynb"
WEBSOCKET_BYTES = 256 * 2**20
"""Message that Voila still takes: beyond what is refused with a sentence, so that it is one and no lost connection."""
WIDGETS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
"""JupyterLab extensions that the page loads: of all that are installed, those that draw widgets."""
PAGE_RULES = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",  # Voila's own scripts need both
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "frame-ancestors": "'none'",
}
"""Content-Security-Policy: the page loads nothing from elsewhere (Voila's template asks a CDN for icons)."""


TODAY = "today: PPO"
"""PPO's bits of the thesis' setting: the choice that the page compares with."""


def load(
    setup: Setup, n_bits: int, options: Options | None = None, *, total_episodes: int = ppo.Args.total_episodes
) -> page.Collection:
    """What the page searches: logits, class codes, encoder and kept bits of one run; what is missing is made first.

    Beside the choices that `options` ask for stand two of the thesis' setting, outputs at one half: PPO's, and all.

    Args:
        setup: which run.
        n_bits: p, how many bits are kept.
        options: which candidates there are (`candidates.Options`); None for thermometer bits and decided queries.
        total_episodes: subsets that PPO tries.

    Raises:
        ValueError: what `encoder.Setup` and its `select` refuse.
    """
    options = options or Options()
    made, pool = setup.codes(progress=False), setup.candidates(options)

    def choose(name: str, options: Options) -> page.Choice:
        return page.Choice.of(setup.select(name, n_bits, options, total_episodes=total_episodes))

    choices = {selectors.METHODS[name].title: choose(name, options) for name in results.SEARCHES}
    choices["random"] = _random(pool, n_bits, setup.seed)
    thesis = replace(THESIS, reward_codes=options.reward_codes)
    if options != thesis:
        choices[TODAY] = choose("ppo", thesis)
    choices["today: all outputs"] = page.Choice(np.arange(setup.code_length))
    logits = made.arrays["query_logits"], made.arrays["database_logits"]
    today = TODAY if TODAY in choices else ""
    return page.Collection(setup.splits, *logits, choices, setup.encoder(), made.classes, options.decided, today)


def _random(pool: Candidates, n_bits: int, seed: int) -> page.Choice:
    """So many of the candidates that differ, drawn at random."""
    bits = np.flatnonzero(selection.random_masks(pool.k, n_bits, 1, seed)[0])
    bits = bits if pool.ids is None else pool.ids[bits]
    return page.Choice(bits) if pool.outputs is None else page.Choice(pool.outputs[bits], pool.thresholds[bits])


@dataclass(frozen=True)
class Args:
    """Serve the search page to this machine, at http://localhost:8866. What it needs and lacks is made first."""

    parameters: tuple[str, ...] = ()
    """name=value pairs for notebook 06, such as bits=32, or dataset=cifar10 root=/data/cifar10"""
    port: int = 8866
    """where to listen; another one where it is taken"""
    browser: bool = True
    """open the page in a browser"""

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        if not 1 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}; give a number in 1..65535")


def main(args: Args) -> None:
    """Run notebook 06, then serve it until Ctrl+C.

    Raises:
        ValueError: Voila is not installed, or what `run_course.main` refuses; it raises others, too.
    """
    from hashlib_nb.course import lessons as run_course  # brings in papermill, which the page does not need

    if find_spec("voila") is None:
        raise ValueError("voila, which serves the page, is not installed; say pip install 'voila>=0.5.8,<1'")
    print("1 of 2: make what the page needs (the first time a minute or two)", flush=True)
    run_course.main(run_course.Args((NOTEBOOK[:2],), args.parameters))
    print(f"2 of 2: serve the page at http://localhost:{args.port}; Ctrl+C ends it", flush=True)
    serve(project_root() / "runs" / NOTEBOOK, args.port, browser=args.browser)


def serve(notebook: Path, port: int, *, browser: bool) -> None:
    """Show a notebook's page through Voila, to this machine alone, until it is interrupted."""
    from voila.app import Voila  # a server's worth of imports

    Voila.launch_instance(argv=[str(notebook)], config=voila_config(port, browser=browser))


def voila_config(port: int, *, browser: bool) -> Config:
    """Voila's settings: no cell tagged "lesson" is shown or run, no source and no file is served, nobody else asks."""
    from traitlets.config import Config

    rules = "; ".join(f"{what} {where}" for what, where in PAGE_RULES.items())
    config = Config()
    config.Voila.update({"ip": "127.0.0.1", "port": port, "open_browser": browser})
    config.Voila.tornado_settings = {
        "websocket_max_message_size": WEBSOCKET_BYTES,
        "allow_remote_access": False,  # a page elsewhere cannot reach this one by giving its own name this address
        "headers": {"Content-Security-Policy": rules},
    }
    config.VoilaConfiguration.update({"theme": "light", "strip_sources": True, "file_allowlist": []})
    config.VoilaConfiguration.extension_allowlist = WIDGETS
    config.TagRemovePreprocessor.update({"enabled": True, "remove_cell_tags": {"lesson"}})
    config.MappingKernelManager.update({"cull_idle_timeout": 600, "cull_interval": 60})  # s, of visitors who have left
    return config


if __name__ == "__main__":
    run(main, Args)
