"""Tuning: what a trial is worth, that a killed study goes on as it would have, that defaults are the first trial."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hashlib_nb import artifacts, plots, selectors
from hashlib_nb.experiments import duels, grid, pools, studies, tuning
from hashlib_nb.scale import Where
from hashlib_nb.selection import Search, random_masks
from tests.experiments.test_grid import run_here, synthetic
from tests.helpers import ROOT, refusal, run_main, start_python

optuna = studies.library()
STATES = optuna.trial.TrialState
N_BITS, BUDGET, SEEDS = 6, 60, (0, 1)


def here(work, *job) -> Future:
    """What a worker does, in this process."""
    done: Future = Future()
    try:
        done.set_result(work(*job))
    except ValueError as error:
        done.set_exception(error)
    return done


@pytest.fixture(scope="module")
def on(tmp_path_factory) -> list[tuning.Scaled]:
    """Two pools of 30 candidates, with their scales."""
    folder = tmp_path_factory.mktemp("scales")
    return [tuning.scaled(synthetic(k=30, seed=seed), seed, N_BITS, folder) for seed in (3, 4)]


def tuned(path: Path, on, trials: int, method: str = "cem", submit=here, **about) -> list:
    """The finished trials of a study that has so many of them."""
    with studies.storage(path) as journal:
        study = studies.study_of(journal, path, method, {"budget": BUDGET} | about)
        searches = [(pool, seed) for pool in on for seed in SEEDS]
        tuning.tune(study, method, trials, searches, submit, n_bits=N_BITS, budget=BUDGET)
        return studies.finished(study)


def what(trials) -> list[tuple]:
    """All of trials but when they ran, and their numbers, which count those that died."""
    return [(each.params, each.value, each.intermediate_values, each.user_attrs) for each in trials]


@pytest.fixture(scope="module")
def trials(tmp_path_factory, on):
    return tuned(tmp_path_factory.mktemp("study") / "a.journal", on, 16)


# --- what a trial is worth ---


def test_the_area_of_a_curve_that_was_drawn_by_hand():
    """Rises at 1, 10 and 100 calls of 1,000: the three thirds of ln 1000 have the heights 0, 1/2 and 5/4."""
    found = tuning.area([1, 10, 100, 100], [0.2, 0.4, 0.7, 0.7], 1000, chance=0.2, top=0.6)
    assert found == pytest.approx((0 + 0.5 + 1.25) / 3)
    assert tuning.area([10], [0.6], 1000, chance=0.2, top=0.6) == pytest.approx(2 / 3)  # nothing before: as by chance
    assert tuning.area([1, 1000], [0.1, 0.6], 1000, chance=0.2, top=0.6) == pytest.approx(-1 / 4)
    assert tuning.area([0, 0], [0.6, 0.6], 1000, chance=0.2, top=0.6) == pytest.approx(1)  # a method that asks nothing


def test_the_area_does_not_depend_on_the_units_of_the_reward():
    calls, best = [1, 3, 20, 50], np.array([0.3, 0.35, 0.5, 0.62])
    one = tuning.area(calls, best, 64, 0.25, 0.7)
    assert tuning.area(calls, 5 * best - 1, 64, 5 * 0.25 - 1, 5 * 0.7 - 1) == pytest.approx(one)


def test_a_pool_without_a_choice_has_no_scale():
    with pytest.raises(ValueError, match=r"top is 0\.5, which is not above .* nothing to choose"):
        tuning.area([1], [0.5], 10, 0.5, 0.5)


def test_the_scale_runs_from_random_subsets_to_greedy_and_swap(on, tmp_path):
    for each in on:
        reward = each.pool.reward()
        assert each.top == Search(reward, N_BITS).run(selectors.METHODS["swap"].find, 0, "swap").reward
        assert each.chance == pytest.approx(reward(random_masks(30, N_BITS, 3000, seed=9)).mean(), abs=0.01)
        found = tuning.measured(each, "swap", {}, N_BITS, 0, 10**6)
        assert found["area"] < 1  # it comes to 1 after some calls alone
        assert found["reward"] == each.top


def test_a_search_is_measured_as_the_comparison_measures_it(on):
    cell = grid.run_cell(on[0].pool, "annealing", N_BITS, 5, BUDGET)
    found = tuning.measured(on[0], "annealing", {}, N_BITS, 5, BUDGET)
    assert (found["reward"], found["test_map"]) == (cell.reward, cell.test_map)
    steps = np.arange(1, BUDGET + 1)  # the same integral, as a sum over every call
    heights = (np.array([cell.best_at(call) for call in steps[:-1]]) - on[0].chance) / (on[0].top - on[0].chance)
    assert found["area"] == pytest.approx(np.diff(np.log(steps)) @ heights / math.log(BUDGET))


# --- spaces ---


@pytest.mark.parametrize("method", studies.SPACES)
@pytest.mark.parametrize("budget", [BUDGET, 1000, 5000])
def test_a_space_is_of_settings_that_the_method_has_and_its_defaults_lie_in_it(method, budget):
    known, defaults = selectors.METHODS[method].settings, studies.default_settings(method, budget)
    assert defaults.keys() == studies.SPACES[method].keys() <= known.keys()
    for name, distribution in studies.distributions(studies.SPACES[method]).items():
        assert distribution._contains(distribution.to_internal_repr(defaults[name])), name
        assert type(defaults[name]) is type(
            distribution.to_external_repr(distribution.to_internal_repr(defaults[name]))
        )


@pytest.mark.parametrize("method", studies.SPACES)
def test_the_defaults_of_a_space_are_what_the_method_does_without_settings(method, on):
    settings = studies.default_settings(method, BUDGET)
    assert tuning.measured(on[0], method, settings, N_BITS, 1, BUDGET) == tuning.measured(
        on[0], method, {}, N_BITS, 1, BUDGET
    )


@pytest.mark.parametrize("method", studies.SPACES)
def test_both_ends_of_every_range_are_taken_by_the_method(method, on):
    for end in ("low", "high"):
        settings = {
            name: values[end == "high"] if isinstance(values, tuple) else getattr(values, end)
            for name, values in studies.SPACES[method].items()
        }
        assert math.isfinite(tuning.measured(on[0], method, settings, N_BITS, 0, BUDGET)["area"])


# --- trials ---


def test_the_first_trial_are_the_defaults_and_its_value_is_the_mean_of_its_searches(trials, on):
    assert trials[0].params == studies.default_settings("cem", BUDGET)
    areas = [tuning.measured(pool, "cem", {}, N_BITS, seed, BUDGET)["area"] for pool in on for seed in SEEDS]
    assert trials[0].intermediate_values == pytest.approx(dict(enumerate(areas)))
    assert trials[0].value == pytest.approx(np.mean(areas))
    assert len({json.dumps(trial.params) for trial in trials}) == len(trials) == 16


@pytest.mark.parametrize("after", [0, 1, 7, 12])
def test_a_killed_study_goes_on_to_the_same_trials_and_those_that_were_running_have_failed(trials, on, tmp_path, after):
    path = tmp_path / "killed.journal"
    tuned(path, on, after)
    left = iter(range(2))

    def dies(work, *job) -> Future:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return here(work, *job)

    with pytest.raises(KeyboardInterrupt):
        tuned(path, on, 16, submit=dies)
    with open(path, "ab") as file:
        file.write(b'{"op_code":6,"wor')  # a line that was cut short
    with studies.storage(path) as journal:
        before = optuna.load_study(study_name="cem", storage=journal)
        assert [trial.number for trial in before.get_trials(states=(STATES.RUNNING,))] == [after]
        study = studies.study_of(journal, path, "cem", {"budget": BUDGET})
        assert study.trials[after].state == STATES.FAIL
    assert what(tuned(path, on, 16)) == what(trials)


def test_more_trials_are_added_to_those_that_are_there(trials, on, tmp_path):
    tuned(tmp_path / "a.journal", on, 5)
    assert what(tuned(tmp_path / "a.journal", on, 16)) == what(trials)


def test_methods_share_a_journal_but_no_trials(trials, on, tmp_path):
    path = tmp_path / "a.journal"
    other = tuned(path, on, 3, "annealing")
    assert other[0].params == studies.default_settings("annealing", BUDGET)
    assert what(tuned(path, on, 16)) == what(trials)
    assert what(tuned(path, on, 3, "annealing")) == what(other)


def test_a_pruned_trial_is_worth_the_mean_of_the_searches_that_it_made(tmp_path):
    """Settings that lose every search by far: the sign test is below p = 0.1 after the fourth of eight."""

    def worth(work, *job) -> Future:
        settings, done = job[2], Future()
        done.set_result({"area": 0.9 if settings["size"] == 20 else 0.1 + job[4] / 100})
        return done

    path = tmp_path / "a.journal"
    with studies.storage(path) as journal:
        study = studies.study_of(journal, path, "cem", {})
        tuning.tune(study, "cem", 2, [(None, seed) for seed in range(8)], worth, n_bits=N_BITS, budget=BUDGET)
        default, pruned = studies.finished(study)
    assert "pruned" not in default.user_attrs
    assert len(default.intermediate_values) == 8
    assert pruned.user_attrs["pruned"]
    assert pruned.state == STATES.COMPLETE
    assert len(pruned.intermediate_values) == 4
    assert pruned.value == pytest.approx(np.mean([*pruned.intermediate_values.values()]))
    assert all(value == 0.1 + search / 100 for search, value in pruned.intermediate_values.items())


def test_settings_that_the_method_refuses_are_a_trial_that_failed_and_the_study_goes_on(on, tmp_path):
    def refuses(work, *job) -> Future:
        done: Future = Future()
        if job[2] == studies.default_settings("cem", BUDGET):
            return here(work, *job)
        done.set_exception(ValueError("PPO diverged"))
        return done

    found = tuned(tmp_path / "a.journal", on, 4, submit=refuses)
    assert [trial.state for trial in found] == [STATES.COMPLETE, *[STATES.FAIL] * 3]
    assert studies.trial_row(found[1])["refused"] == "PPO diverged"
    assert len({json.dumps(trial.params) for trial in found}) == 4


def test_a_study_of_other_settings_is_refused_in_one_sentence(on, tmp_path):
    path = tmp_path / "a.journal"
    tuned(path, on, 1)
    with pytest.raises(ValueError, match=r"a\.journal has a study of cem with other settings \(budget=60, now 70\);"):
        tuned(path, on, 2, budget=70)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("somebody's\n")
    with pytest.raises(ValueError, match=r"a\.txt"), studies.storage(path):
        pass
    path.write_text('{"op_code":0}\n{"op_code":6}\n')
    with pytest.raises(ValueError, match="damaged or no journal"), studies.storage(path):
        pass


def test_a_journal_that_another_process_works_on_is_refused(tmp_path):
    path = tmp_path / "a.journal"
    with (
        studies.storage(path),
        pytest.raises(artifacts.WriteError, match=r"another process has held it for 1 s"),
        studies.storage(path),
    ):
        pass


# --- the command ---


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A home whose pools are synthetic and made at once, and no workers, which would compile everything for it."""
    monkeypatch.setattr(tuning, "in_workers", run_here)
    monkeypatch.setattr(tuning, "pool", lambda _: nullcontext(SimpleNamespace(submit=here)))
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(pools, "load", lambda name, *, seed, **_: synthetic(k=30, seed=seed))
    return tmp_path


SMALL = ("--methods", "cem", "annealing", "--n-bits", N_BITS, "--budget", BUDGET, "--trials", 5, "--seeds", 0, 1,
         "--tuning-pools", 3, 4, "--reporting-pools", 5, 6, 7)  # fmt: skip


@pytest.mark.slow
def test_the_command_writes_what_it_prints_and_another_run_takes_all_of_it_from_the_journal(small, capsys, monkeypatch):
    run_main(tuning, *SMALL)
    first = json.loads((small / "runs" / "tuning.json").read_text())
    shown = capsys.readouterr().out
    assert (tuning.Args().folder / f"thermometer-p{N_BITS}-b{BUDGET}.journal").exists()
    monkeypatch.setattr(tuning, "measured", lambda *_: pytest.fail("searches again"))
    run_main(tuning, *SMALL, "--workers", 1)
    monkeypatch.undo()
    again = json.loads((small / "runs" / "tuning.json").read_text())
    assert again["methods"] == first["methods"]
    for name, found in first["methods"].items():
        default, best = found["default"], found["best"]
        assert default["settings"] == studies.default_settings(name, BUDGET)
        assert best["value"] == max(trial["value"] for trial in found["trials"])
        assert f"| {selectors.METHODS[name].title} | 5 |" in shown
        by_hand = []
        for seed in (5, 6, 7):
            pool = tuning.scaled(synthetic(k=30, seed=seed), seed, N_BITS, small)
            areas = [[tuning.measured(pool, name, side["settings"], N_BITS, one, BUDGET)["area"] for one in (0, 1)]
                     for side in (best, default)]  # fmt: skip
            by_hand.append(np.mean(areas[0]) - np.mean(areas[1]))
        assert found["difference"]["area"]["by_pool"] == pytest.approx(by_hand)
        mean, low, high, _ = duels.interval(by_hand)
        said = found["difference"]["area"]
        if said["low"] is not None:
            assert (said["mean"], said["low"], said["high"]) == pytest.approx((mean, low, high))
    assert {path.name for path in (small / "runs" / "figures").iterdir()} >= {"tuning_cem.png", "tuning_annealing.png"}


@pytest.mark.process
@pytest.mark.usefixtures("without_dask")
def test_the_number_of_workers_and_the_order_in_which_they_end_change_nothing(trials, on, tmp_path):
    with tuning.pool(Where(workers=2)) as executor:
        assert what(tuned(tmp_path / "a.journal", on, 16, submit=executor.submit)) == what(trials)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hashlib_nb.experiments import tuning
from hashlib_nb.scale import Where
from tests.experiments.test_grid import synthetic
from tests.experiments.test_tuning import tuned, N_BITS
if __name__ == "__main__":
    folder = Path(sys.argv[2])
    on = [tuning.scaled(synthetic(k=30, seed=seed), seed, N_BITS, folder) for seed in (3, 4)]
    Where.with_dask = False
    with tuning.pool(Where(workers=1)) as executor:
        tuned(folder / "a.journal", on, 10_000, submit=executor.submit)
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_run_that_was_killed_leaves_a_journal_that_goes_on(trials, on, tmp_path):
    script, path = tmp_path / "killed.py", tmp_path / "a.journal"
    script.write_text(KILLED)
    run = subprocess.Popen([sys.executable, script, ROOT, tmp_path], stdout=subprocess.PIPE)
    while not path.exists() or path.read_bytes().count(b"\n") < 60:
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.communicate(timeout=60)  # returns when nobody holds the pipe any more, workers included
    assert what(tuned(path, on, 16))[:16] == what(trials)


def test_the_plan_says_hours_and_makes_nothing(small, capsys, monkeypatch):
    monkeypatch.setattr(tuning, "TIMED_CALLS", 16)
    run_main(tuning, "--plan", "--pool", "64", "--methods", "cem", "--trials", 7, "--tuning-pools", 13, 14)
    shown = capsys.readouterr().out
    assert "cem: 7 trials of 10 searches, and 100 on other pools: " in shown
    assert "searches: about " in shown
    assert not (small / "artifacts").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": ("nothing",)}, "methods has 'nothing'; there are settings to tune of ppo, cem, annealing"),
        ({"methods": ("greedy",)}, "methods has 'greedy'; there are settings to tune of"),
        ({"methods": ("cem", "cem")}, r"methods is \['cem', 'cem'\]; give different ones of"),
        ({"methods": ()}, r"methods is \[\]; give different ones of"),
        ({"pool": "nothing"}, "pool is 'nothing'; there are 64, thermometer"),
        ({"tuning_pools": (3, 4)}, "reporting_pools has 3, a pool that settings are tried on; give others"),
        ({"budget": 1}, r"budget is 1; give a whole number in 2\.\."),
        ({"n_bits": 64, "pool": "64"}, r"n_bits is 64; give a whole number in 1\.\.63 \(pool 64\)"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        tuning.Args(**changes)


def test_a_study_of_another_budget_is_refused_before_pools_are_made(small, monkeypatch):
    run_main(tuning, *SMALL, "--methods", "cem", "--trials", 1, "--study", small / "a.journal")
    monkeypatch.setattr(pools, "load", lambda *_, **__: pytest.fail("makes pools"))
    said = refusal(tuning, *SMALL, "--budget", 70, "--study", small / "a.journal")
    assert "a.journal has a study of cem with other settings (budget=60, now 70); name another with --study" in said


@pytest.mark.process
def test_without_optuna_it_says_how_to_get_it(tmp_path):
    program = "import sys; sys.modules['optuna'] = None; sys.argv = ['hashlib-nb', 'tuning']; "
    program += "from hashlib_nb.__main__ import main; main()"
    done = start_python("-c", program, check=False, cwd=tmp_path, env={"HASHLIB_NB_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: tuning needs the package optuna: python -m pip install 'optuna>=5,<6'\n"
    assert [*tmp_path.iterdir()] == []


def test_importances_name_the_setting_that_matters(tmp_path):
    """What a trial is worth follows from `elite` alone."""

    def worth(work, *job) -> Future:
        done: Future = Future()
        done.set_result({"area": -abs(job[2]["elite"] - 0.4)})
        return done

    path = tmp_path / "a.journal"
    with studies.storage(path) as journal:
        study = studies.study_of(journal, path, "cem", {})
        assert studies.importances(study) == {}
        tuning.tune(study, "cem", 40, [(None, 0)], worth, n_bits=N_BITS, budget=BUDGET)
        shares = studies.importances(study)
        assert abs(study.best_params["elite"] - 0.4) < 0.03
    assert [*shares][0] == "elite"
    assert shares["elite"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)
    assert shares.keys() == studies.SPACES["cem"].keys()
    assert plots.importances({"cross-entropy": shares}).axes[0].get_title() == "cross-entropy"


def test_pools_of_other_codes_are_another_study(small, on, tmp_path):
    args = tuning.Args(budget=BUDGET, n_bits=N_BITS, tuning_pools=(3, 4), reporting_pools=(5,))
    with studies.storage(args.journal) as journal:
        about = tuning.about_study(args, "cem")
        studies.study_of(journal, args.journal, "cem", about | {"data": ["one"]})
        studies.study_of(journal, args.journal, "cem", about)
        with pytest.raises(ValueError, match=r"data=\['one'\], now \['two'\]"):
            studies.study_of(journal, args.journal, "cem", about | {"data": ["two"]})
        with pytest.raises(ValueError, match=r"tuning_pools=\[3, 4\], now \[3\]"):
            studies.study_of(journal, args.journal, "cem", tuning.about_study(replace(args, tuning_pools=(3,)), "cem"))
