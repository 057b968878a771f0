"""Every command of the package, by one word: `hashlib-nb WORD` or `python -m hashlib_nb WORD`."""

from __future__ import annotations

import importlib
import sys

from hashlib_nb.machine import ending

COMMANDS = {
    "datasets": ("datasets.__main__", "check a dataset's split before anything is fitted to it"),
    "codes": ("codes", "stage 1: target codes from labels"),
    "encoder": ("encoder.__main__", "stage 2: fit an encoder to target codes, write the codes of all pictures"),
    "thermometer": ("thermometer.__main__", "candidate bits of anybody's logits or class posteriors"),
    "ppo": ("ppo", "stage 3: PPO keeps p of k bits"),
    "dqn": ("selectors.dqn", "the same by a second agent, a Q-network that drops bits; for tens of candidates"),
    "selectors": ("selectors.__main__", "choose which bits of anybody's codes to keep, by any method"),
    "baselines": ("baselines.__main__", "fit one of other people's methods, write the codes of all pictures"),
    "metrics": ("metrics.__main__", "measure codes: mAP, precision, ties"),
    "encode": ("search.encode", "codes of picture files: into an index, a file or lines of hex"),
    "search": ("search.__main__", "search an index of pictures"),
    "exchange": ("search.exchange", "codes of an index to faiss and NumPy, and back"),
    "records": ("search.records", "keep records of an index that nobody rewrites unnoticed; prove and verify them"),
    "video": ("search.video", "index videos by their frames, and find where a part of one comes from"),
    "results": ("experiments.results", "chapter 4's table, what it lacks made first"),
    "reward_rows": (
        "experiments.reward_rows",
        "which rows should pay for a choice of bits, and what a layer is fitted to",
    ),
    "questions": ("experiments.questions", "what a bit should ask: dichotomies, levels, lengths, rows that pay"),
    "unseen": ("experiments.unseen", "retrieval of classes that nobody trained on: codes, logits, untouched features"),
    "rivals": ("experiments.rivals", "other people's codes and the thesis' on one trunk, from the same held-out rows"),
    "comparison": ("experiments.comparison", "every way to choose bits, compared at one budget"),
    "tuning": ("experiments.tuning", "settings of the ways to choose bits: tried on some pools, judged on others"),
    "ablation": ("experiments.ablation", "what in PPO makes the difference: variants at several budgets"),
    "robustness": ("experiments.robustness", "perceptual hashes under attack: who is found, who is taken for another"),
    "published": ("experiments.published", "the stored tables: made, and shown in results/README.md"),
    "run_course": ("course.lessons", "run the notebooks headless and print the results table"),
    "executed": ("course.executed", "which lessons can be shown as they ran; run the others; keep copies"),
    "figures": ("plots.__main__", "take the figures of a run over into figures/, which the repository keeps"),
    "demo": ("course.demo", "serve the search page to this machine"),
    "classroom": ("course.assignments", "check the assignments and write what students get"),
}
"""Word, module under hashlib_nb with its `Args` and `main`, and what it does."""


def main() -> None:
    """Run the command that the first word names; without one, list them all."""
    with ending():  # the imports take seconds, in which somebody may press Ctrl-C
        _run()


def _run() -> None:
    word, *rest = sys.argv[1:] or ["--help"]
    if word in ("-h", "--help"):
        lines = [f"  {name:<13}{does}" for name, (_, does) in COMMANDS.items()]
        print("hashlib-nb COMMAND ..., or python -m hashlib_nb COMMAND ...", *lines, sep="\n")
        print("hashlib-nb COMMAND --help explains each option")
        return
    if word not in COMMANDS:
        print(f"error: {word!r} is no command; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    artifacts = importlib.import_module("hashlib_nb.artifacts")
    module = importlib.import_module(f"hashlib_nb.{COMMANDS[word][0]}")
    sys.argv[1:] = rest
    artifacts.run(module.main, module.Args, prog=f"hashlib-nb {word}")


if __name__ == "__main__":
    main()
