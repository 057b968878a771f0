"""Studies of Optuna's in a journal: what trials may set, where they lie, and which settings mattered."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashlib_nb import artifacts, checks
from hashlib_nb.selectors import METHODS, generation_size

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Range:
    """Numbers that a setting may have: whole ones where both ends are."""

    low: float
    """The smallest."""
    high: float
    """The largest."""
    log: bool = False
    """Whether they are drawn evenly on a logarithmic scale."""


SPACES: dict[str, dict[str, Range | tuple]] = {
    "ppo": {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "anneal_lr": (True, False),
        "episodes": Range(4, 64, log=True),
        "update_epochs": Range(1, 10),
        "minibatches": Range(1, 8),
        "entropy_weight": Range(1e-3, 0.3, log=True),
        "new_subsets": Range(0.0, 1.0),
        "restarts": Range(0.0, 1.0),
        "dropped": Range(1, 16),
        "hidden": Range(32, 512, log=True),
        "clip": Range(0.05, 0.5),
        "gae_lambda": Range(0.8, 1.0),
    },
    "cem": {
        "size": Range(5, 200, log=True),
        "elite": Range(0.05, 0.5),
        "smoothing": Range(0.0, 0.9),
    },
    "annealing": {
        "start": Range(0.01, 3.0, log=True),
        "end": Range(1e-4, 1.0, log=True),
        "subsets": Range(2, 100, log=True),
    },
}
"""For each method what its trials may set, of `Method.settings`: a `Range`, or the values themselves."""
BY_BUDGET = {("cem", "size"): generation_size}
"""Settings whose default follows the budget."""
PRUNED_BELOW = 0.1
"""p of the Wilcoxon test below which a trial ends early."""
IS_JOURNAL = artifacts.replaces_lines(r'\{"op_code":.*')
"""Whether an existing file is a journal of Optuna's."""


def default_settings(method: str, budget: int) -> dict[str, Any]:
    """The values that the settings of a method's space have where nobody sets them, at a budget."""
    known = METHODS[method].settings
    return {name: BY_BUDGET.get((method, name), lambda _, name=name: known[name])(budget) for name in SPACES[method]}


def library() -> Any:
    """Optuna, told to be quiet.

    Raises:
        ValueError: it is not installed.
    """
    checks.packages("tuning", "optuna>=5,<6")
    import optuna  # here, since no other command needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def distributions(space: Mapping[str, Range | tuple]) -> dict[str, optuna.distributions.BaseDistribution]:
    """A space in Optuna's words."""
    of = library().distributions

    def one(values: Range | tuple) -> optuna.distributions.BaseDistribution:
        if isinstance(values, tuple):
            return of.CategoricalDistribution(values)
        whole = isinstance(values.low, int) and isinstance(values.high, int)
        return (of.IntDistribution if whole else of.FloatDistribution)(values.low, values.high, log=values.log)

    return {name: one(values) for name, values in space.items()}


@contextmanager
def storage(path: Path) -> Iterator[optuna.storages.JournalStorage]:
    """The journal at `path`, held by this process alone; a line that a dying computer cut short is taken away.

    Raises:
        WriteError: another process is at work on it.
        ValueError: it is no place to write to, or no journal.
    """
    optuna = library()
    artifacts.check_writable(path, IS_JOURNAL)
    with artifacts.locked(path, seconds=1):
        whole = path.read_bytes() if path.exists() else b""
        if not whole.endswith(b"\n"):
            with artifacts.atomic(path) as partial:
                partial.write_bytes(whole[: whole.rfind(b"\n") + 1])
        try:
            backend = optuna.storages.journal.JournalFileBackend(str(path))
            found = optuna.storages.JournalStorage(backend)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise artifacts.ArtifactError(
                f"{artifacts.shown(path)} is damaged or no journal of trials; remove it or name another with --study"
            ) from error
        yield found


def study_of(journal: optuna.storages.JournalStorage, path: Path, method: str, about: dict) -> optuna.Study:
    """The study of a method in a journal, a new one where there is none; trials that died with their run have failed.

    Args:
        journal: an open one.
        path: its file.
        method: a name in `SPACES`.
        about: what the trials depend on, as JSON gives it back.

    Raises:
        ValueError: the study there is of other settings.
    """
    optuna = library()
    pruner = optuna.pruners.WilcoxonPruner(p_threshold=PRUNED_BELOW)
    study = optuna.create_study(
        study_name=method, storage=journal, direction="maximize", load_if_exists=True, pruner=pruner
    )
    stored = study.user_attrs.get("about", {})
    common = {name: about[name] for name in about if name in stored}
    if {name: stored[name] for name in common} != common:
        raise ValueError(
            f"{artifacts.shown(path)} has a study of {method} with other settings "
            f"({artifacts.differences({name: stored[name] for name in common}, common)}); name another with --study"
        )
    if stored.keys() != about.keys():
        study.set_user_attr("about", stored | about)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that have come to a value, and those whose settings the method refused; not those that died."""
    states = library().trial.TrialState
    kept = [trial for trial in study.get_trials(deepcopy=False) if trial.state in (states.COMPLETE, states.FAIL)]
    return [trial for trial in kept if trial.state == states.COMPLETE or "refused" in trial.user_attrs]


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each setting matters for being among the best tenth of trials, shares that add up to 1, largest first.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023). Nothing where trials are too few, or all alike.
    """
    optuna = library()
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    found = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    return {} if not all(map(math.isfinite, found.values())) else {name: float(each) for name, each in found.items()}


def trial_row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """A trial in a table: its areas are by the number of the search, pools outermost."""
    about = {"trial": trial.number, "value": trial.value, "pruned": trial.user_attrs.get("pruned", False)}
    about |= {"refused": trial.user_attrs.get("refused"), "seconds": trial.duration.total_seconds()}
    return about | {"settings": trial.params, "areas": {str(each): trial.intermediate_values[each]
                                                        for each in sorted(trial.intermediate_values)}}  # fmt: skip
