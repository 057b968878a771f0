"""Recipes: what is trained how fast, and settings that cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hashlib_nb.encoder import RECIPES, SMALL, THESIS, alexnet_small
from hashlib_nb.encoder.networks import build
from hashlib_nb.encoder.recipes import FROZEN
from hashlib_nb.encoder.training import optimizer_of, schedule_of


def test_the_thesis_recipe_moves_the_last_layer_ten_times_as_fast():
    assert (THESIS.optimizer, THESIS.lr, THESIS.batch_size) == ("sgd", 1e-5, 32)
    network = alexnet_small(6)
    made = optimizer_of(network, THESIS)
    body, head = made.param_groups
    assert isinstance(made, torch.optim.SGD)
    assert (body["lr"], head["lr"]) == (1e-5, 1e-4)
    assert body["momentum"] == head["momentum"] == body["weight_decay"] == 0
    assert [id(p) for p in head["params"]] == [id(p) for p in network[-1].parameters()]
    assert {id(p) for p in [*body["params"], *head["params"]]} == {id(p) for p in network.parameters()}
    assert len(body["params"]) + 2 == len(list(network.parameters()))


@pytest.mark.parametrize("arch", sorted(RECIPES))
def test_every_recipe_trains_all_weights_but_those_of_a_frozen_trunk(arch):
    with torch.device("meta"):
        network = build(arch, 4, head=RECIPES[arch].head, weights="random")
    body, head = optimizer_of(network, RECIPES[arch]).param_groups
    trained = network.head if arch.endswith("_frozen") else network
    assert {id(p) for p in body["params"] + head["params"]} == {id(p) for p in trained.parameters()}
    assert [p.shape[0] for p in head["params"]] == [4, 4]  # weight and bias of the last layer


@pytest.mark.parametrize("recipe", [SMALL, THESIS])
def test_the_learning_rate_is_warmed_up_and_annealed_or_constant(recipe):
    optimizer = optimizer_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), recipe)
    schedule = schedule_of(optimizer, recipe, 50)
    rates = []
    for _ in range(49):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    body, head = zip(*rates, strict=True)
    assert max(body) == pytest.approx(recipe.lr)
    assert head == pytest.approx([rate * recipe.head_lr_factor for rate in body])
    if recipe.one_cycle:
        assert body[0] < recipe.lr / 10
        assert body[-1] < recipe.lr / 100
        assert body.index(max(body)) == pytest.approx(0.2 * 50, abs=1)
    else:
        assert len(set(body)) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"optimizer": "adam"}, "optimizer must be 'sgd' or 'adamw', not 'adam'"),
        ({"patience": -1}, "patience is -1; give a whole number of at least 0"),
        ({"held_out": 0.0}, r"held_out is 0\.0; give a finite number above 0 and below 1"),
        ({"held_out": 1.0}, r"held_out is 1\.0; give a finite number above 0 and below 1"),
        ({"held_out": float("nan")}, "held_out is nan; give a finite number"),
        ({"lr": float("nan")}, "lr is nan; give a finite number of at least 0"),
        ({"lr": -1e-3}, r"lr is -0\.001; give a finite number of at least 0"),
        ({"head_lr_factor": float("inf")}, "head_lr_factor is inf; give a finite number"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1; give a finite number of at least 0"),
        ({"weight_decay": None}, "weight_decay is None; give a finite number"),
        ({"batch_size": 0}, "batch_size is 0; give a whole number in 1"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5; give a whole number"),
        ({"epochs": True}, "epochs is True; give a whole number"),
        ({"shift": -1}, "shift is -1; give a whole number in 0"),
        ({"shift": 10**6}, r"shift is 1000000; give a whole number in 0\.\.256"),
    ],
)
def test_a_recipe_that_cannot_be_is_named(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(FROZEN, **change)
