"""Every public number: one of another kind is refused by its name in one line; one of any library is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hashlib_nb import baselines, codes, datasets, encoder, hamming, metrics, ppo, selection, selectors, thermometer
from hashlib_nb.encoder.networks import Head
from hashlib_nb.experiments import comparison, pools, results, tuning
from hashlib_nb.machine import threads
from hashlib_nb.selectors import dqn
from hashlib_nb.thermometer import __main__ as candidates_of_anybody
from tests.helpers import noisy_codes

CODES, LABELS = noisy_codes()
PAIRS = (CODES[:9], CODES[9:], LABELS[:9], LABELS[9:])
REWARD = selection.Reward(CODES, LABELS)
POSTERIORS, CLASS = np.eye(4), np.arange(4)
COUNTS: dict[str, Callable[[Any], Any]] = {
    "hamming.as_codes code_length": lambda value: hamming.as_codes(hamming.pack_bytes(CODES), value),
    "hamming.unpack_bytes code_length": lambda value: hamming.unpack_bytes(hamming.pack_bytes(CODES), value),
    "hamming.nearest n": lambda value: hamming.nearest(CODES, CODES, value),
    "hamming.within_radius radius": lambda value: hamming.within_radius(CODES, CODES, value),
    "metrics.mean_average_precision top_n": lambda value: metrics.mean_average_precision(*PAIRS, top_n=value),
    "metrics.map_of_masks top_n": lambda value: metrics.map_of_masks(REWARD.pairs, CODES[:2], top_n=value),
    "metrics.map_of_flipped top_n": lambda value: metrics.map_of_flipped(REWARD.pairs, CODES[0], [1], top_n=value),
    "metrics.precision_at_n n": lambda value: metrics.precision_at_n(*PAIRS, n=value),
    "metrics.precision_within_radius radius": lambda value: metrics.precision_within_radius(*PAIRS, radius=value),
    "metrics.evaluate top_n": lambda value: metrics.evaluate(*PAIRS, top_n=value),
    "metrics.evaluate at_n": lambda value: metrics.evaluate(*PAIRS, at_n=value),
    "metrics.evaluate radius": lambda value: metrics.evaluate(*PAIRS, radius=value),
    "baselines.random_codes n": lambda value: baselines.random_codes(value, 8, 0),
    "baselines.random_codes k": lambda value: baselines.random_codes(8, value, 0),
    "baselines.class_index_codes n_classes": lambda value: baselines.class_index_codes([0, 1], value),
    "codes.infer_codes bits": lambda value: codes.infer_codes(LABELS, value, epochs=1),
    "codes.infer_codes epochs": lambda value: codes.infer_codes(LABELS, 8, epochs=value),
    "codes.infer_codes finish_sweeps": lambda value: codes.infer_codes(LABELS, 8, epochs=1, finish_sweeps=value),
    "codes.infer_codes block_size": lambda value: codes.infer_codes(LABELS, 8, epochs=1, block_size=value),
    "codes.lower_bound iterations": lambda value: codes.lower_bound(LABELS, iterations=value),
    "thermometer.meanings k": lambda value: thermometer.meanings(value, thermometer.HALF),
    "thermometer.halves n_classes": lambda value: thermometer.halves(value, 1),
    "thermometer.halves k": lambda value: thermometer.halves(10, value),
    "thermometer.ceiling top_n": lambda value: thermometer.ceiling(POSTERIORS, POSTERIORS, CLASS, CLASS, top_n=value),
    "thermometer.ceiling_bracket top_n": lambda value: thermometer.ceiling_bracket(
        POSTERIORS, POSTERIORS, CLASS, CLASS, top_n=value
    ),
    "thermometer.Args dichotomies": lambda value: candidates_of_anybody.Args(dichotomies=value),
    "selection.Reward n_queries": lambda value: selection.Reward(CODES, LABELS, n_queries=value),
    "selection.Search n_bits": lambda value: selection.Search(REWARD, value),
    "selection.Search budget": lambda value: selection.Search(REWARD, 3, value),
    "selection.random_masks k": lambda value: selection.random_masks(value, 1, 2),
    "selection.random_masks n_bits": lambda value: selection.random_masks(12, value, 2),
    "selection.random_masks number": lambda value: selection.random_masks(12, 2, value),
    "selection.BitSelectionEnv n_bits": lambda value: selection.BitSelectionEnv(n_bits=value, reward=REWARD),
    "selection.BitSelectionVectorEnv num_envs": lambda value: selection.BitSelectionVectorEnv(REWARD, 3, value),
    "selectors.select n_bits": lambda value: selectors.select(CODES, LABELS, value, method="first"),
    "selectors.select budget": lambda value: selectors.select(CODES, LABELS, 3, method="random", budget=value),
    "selectors.nested_order n_bits": lambda value: selectors.nested_order(CODES, LABELS, value),
    "selectors.nested_order budget": lambda value: selectors.nested_order(CODES, LABELS, 3, budget=value),
    "selectors.prefix_lengths lengths": lambda value: selectors.prefix_lengths(8, (value,)),
    "selectors.select n_queries": lambda value: selectors.select(CODES, LABELS, 3, method="random", n_queries=value),
    **{
        f"ppo.Args {name}": lambda value, name=name: ppo.Args(**{"total_episodes": 99, name: value})
        for name in ("n_bits", "budget", "n_queries", "episodes", "update_epochs", "minibatches", "hidden", "dropped")
    },
    **{
        f"dqn.Args {name}": lambda value, name=name: dqn.Args(**{name: value})
        for name in (
            "n_bits",
            "total_steps",
            "budget",
            "n_queries",
            "learning_starts",
            "target_frequency",
            "hidden",
            "batch_size",
            "buffer_size",
        )
    },
    "ppo.Args total_episodes": lambda value: ppo.Args(episodes=1, total_episodes=value),
    **{
        f"Recipe {name}": lambda value, name=name: replace(encoder.SMALL, **{name: value})
        for name in ("batch_size", "epochs", "shift", "patience")
    },
    "Head hidden": lambda value: Head(hidden=value),
    "Settings epochs": lambda value: encoder.Settings(epochs=value),
    "Settings size": lambda value: encoder.Settings(size=value),
    "Setup code_length": lambda value: encoder.Setup(code_length=value),
    "folds_of folds": lambda value: encoder.folds_of(CODES, value),
    "results.Args code_length": lambda value: results.Args(code_length=value, lengths=(1,)),
    "results.Args total_episodes": lambda value: results.Args(total_episodes=value),
    "results.Args subsets": lambda value: results.Args(subsets=value),
    "results.Args top_n": lambda value: results.Args(top_n=value),
    "results.Args folds": lambda value: results.Args(folds=value),
    "comparison.Args budgets": lambda value: comparison.Args(budgets=(value,)),
    "comparison.Args workers": lambda value: comparison.Args(workers=value),
    "comparison.Args folds": lambda value: comparison.Args(folds=value),
    "comparison.Args subsets": lambda value: comparison.Args(subsets=value),
    "tuning.Args n_bits": lambda value: tuning.Args(n_bits=value),
    "tuning.Args budget": lambda value: tuning.Args(budget=value),
    "tuning.Args trials": lambda value: tuning.Args(trials=value),
    "tuning.Args workers": lambda value: tuning.Args(workers=value),
    "tuning.Args folds": lambda value: tuning.Args(folds=value),
    "threads.limit number": lambda value: threads.limit(value, "torch")(),
}
"""Calls with a whole number, by the name of the argument that it is given as."""
MAY_BE_NONE = {
    "hamming.as_codes code_length", "metrics.mean_average_precision top_n", "metrics.map_of_masks top_n",
    "metrics.map_of_flipped top_n", "metrics.evaluate top_n", "thermometer.ceiling top_n",
    "thermometer.ceiling_bracket top_n", "codes.infer_codes block_size", "selection.Search budget",
    "selectors.select budget", "selectors.nested_order budget", "ppo.Args budget",
    "dqn.Args budget",
    "Settings epochs", "Settings size", "results.Args top_n", "results.Args folds",
}  # fmt: skip
"""None is one of the values that these take."""
UNBOUNDED = {
    "hamming.within_radius radius", "metrics.mean_average_precision top_n", "metrics.map_of_masks top_n",
    "metrics.map_of_flipped top_n", "metrics.precision_within_radius radius", "metrics.evaluate top_n",
    "metrics.evaluate at_n", "metrics.evaluate radius", "thermometer.ceiling top_n",
    "thermometer.ceiling_bracket top_n", "baselines.class_index_codes n_classes", "codes.infer_codes block_size",
    "codes.lower_bound iterations",
    "Recipe patience", "results.Args top_n", "results.Args folds", "comparison.Args folds",
    "tuning.Args folds",
}  # fmt: skip
"""However much is asked of these, they take what there is, or a later check knows the limit."""
SEVERAL = {"metrics.precision_at_n n", "metrics.evaluate top_n", "metrics.evaluate at_n"}
"""These take a list as well."""
SEEDS: dict[str, Callable[[Any], Any]] = {
    "datasets.load seed": lambda value: datasets.load("fashion-mini", seed=value),
    "codes.infer_codes seed": lambda value: codes.infer_codes(LABELS, 4, epochs=1, finish_sweeps=1, seed=value),
    "codes.discrete_finish seed": lambda value: next(
        codes.discrete_finish(np.ones((4, 3)), codes.LabelSets.of(LABELS), sweeps=1, seed=value)
    ),
    "thermometer.halves seed": lambda value: thermometer.halves(6, 2, value),
    "thermometer.Args seed": lambda value: candidates_of_anybody.Args(seed=value),
    "selection.Reward seed": lambda value: selection.Reward(CODES, LABELS, n_queries=9, seed=value),
    "selection.random_masks seed": lambda value: selection.random_masks(9, 3, 2, value),
    "selection.BitSelectionEnv seed": lambda value: selection.BitSelectionEnv(CODES, LABELS, 3, seed=value),
    "selectors.select seed": lambda value: selectors.select(CODES, LABELS, 3, method="cem", budget=9, seed=value),
    "selectors.nested_order seed": lambda value: selectors.nested_order(CODES, LABELS, 3, seed=value),
    "dqn.Args seed": lambda value: dqn.Args(seed=value),
    "ppo.Args seed": lambda value: ppo.Args(seed=value),
    "baselines.random_codes seed": lambda value: baselines.random_codes(3, 4, value),
    "Setup seed": lambda value: encoder.Setup(seed=value),
    "folds_of seed": lambda value: encoder.folds_of(CODES, 2, value),
    "results.Args seeds": lambda value: results.Args(seeds=(value,)),
    "results.Args splits": lambda value: results.Args(splits=(value,)),
    "comparison.Args seeds": lambda value: comparison.Args(seeds=(value,)),
    "comparison.Args pool_seeds": lambda value: comparison.Args(pool_seeds=(value,)),
    "tuning.Args seed": lambda value: tuning.Args(seed=value),
    "tuning.Args seeds": lambda value: tuning.Args(seeds=(value,)),
    "pools.load seed": lambda value: pools.load("lsh-512", seed=value),
}
"""Calls with a seed, by the name of the argument that it is given as."""
SIZES: dict[str, Callable[[Any], Any]] = {
    **{
        f"infer_codes {name}": lambda value, name=name: codes.infer_codes(LABELS, 4, epochs=1, **{name: value})
        for name in ("lr", "init_scale", "quantization_weight")
    },
    **{
        f"ppo.Args {name}": lambda value, name=name: ppo.Args(**{name: value})
        for name in (
            "learning_rate", "value_weight", "entropy_weight", "clip", "max_grad_norm", "gamma", "gae_lambda",
            "restarts", "new_subsets",
        )
    },
    **{
        f"dqn.Args {name}": lambda value, name=name: dqn.Args(**{name: value})
        for name in ("learning_rate", "gamma", "end_epsilon", "exploration")
    },
    **{
        f"Recipe {name}": lambda value, name=name: replace(encoder.SMALL, **{name: value})
        for name in ("lr", "head_lr_factor", "weight_decay", "held_out")
    },
    "thermometer.ClassCodes beta": lambda value: thermometer.ClassCodes(CODES[:4], CLASS, value),
    "Head dropout": lambda value: Head(dropout=value),
}  # fmt: skip
"""Calls with a number that need not be whole, and that 0.5 will do for."""
NO_NUMBERS = {"text": "3", "bool": True, "tensor of a bool": torch.tensor(True), "array": np.array([[3]]), "dict": {}}
NO_COUNTS = NO_NUMBERS | {"fraction": 2.5, "float": 2.0, "negative": -1, "nan": np.nan, "huge": 10**30}
NO_SEEDS = NO_NUMBERS | {"None": None, "fraction": 0.5, "negative": -1, "2^64": 2**64, "list": [0]}
NO_SIZES = NO_NUMBERS | {"None": None, "nan": np.nan, "inf": np.inf, "negative": -0.1, "list": [0.5]}


def assert_refused(name: str, call: Callable[[Any], Any], value: Any) -> None:
    argument = name.split()[-1]
    with pytest.raises(ValueError, match=rf"^{argument} (is|has) .*; ") as refused:
        call(value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [*NO_COUNTS, "None"])
@pytest.mark.parametrize("name", COUNTS)
def test_what_is_no_count_is_refused_by_name(name, kind):
    if kind == "None" and name in MAY_BE_NONE or kind == "array" and name in SEVERAL:
        return
    if kind == "huge" and name in UNBOUNDED:
        return
    assert_refused(name, COUNTS[name], (NO_COUNTS | {"None": None})[kind])


@pytest.mark.parametrize("form", [int, np.int16, np.uint64, np.array, torch.tensor])
@pytest.mark.parametrize("name", COUNTS)
def test_a_whole_number_of_any_library_is_a_count(name, form):
    COUNTS[name](form(16 if "as_codes" in name or "unpack" in name else 2))


@pytest.mark.parametrize("kind", NO_SEEDS)
@pytest.mark.parametrize("name", SEEDS)
def test_what_is_no_seed_is_refused_by_name(name, kind):
    assert_refused(name, SEEDS[name], NO_SEEDS[kind])


@pytest.mark.parametrize("seed", [np.int64(3), torch.tensor(3), 2**32, 2**64 - 1])
@pytest.mark.parametrize("name", SEEDS)
def test_any_seed_below_2_to_the_64_is_taken(name, seed):
    SEEDS[name](seed)


@pytest.mark.parametrize("kind", NO_SIZES)
@pytest.mark.parametrize("name", SIZES)
def test_what_is_no_size_is_refused_by_name(name, kind):
    SIZES[name](0.5)
    SIZES[name](torch.tensor(0.5))
    assert_refused(name, SIZES[name], NO_SIZES[kind])
