"""Recipes: what is trained how fast, and settings that cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hashlib_nb.encoder import RECIPES, SMALL, THESIS, TUNED, Settings, alexnet_small, fit, networks
from hashlib_nb.encoder.networks import build
from hashlib_nb.encoder.recipes import FROZEN
from hashlib_nb.encoder.training import Training, optimizer_of, schedule_of


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


def test_each_block_learns_less_than_the_one_above_it_and_what_is_left_as_it_is_has_no_rate():
    with torch.device("meta"):
        network = build("efficientnet_lite0", 4, weights="random")
    networks.freeze_blocks(network, 3)
    groups = optimizer_of(network, TUNED).param_groups
    rates = [group["lr"] for group in groups[:-1]]
    n_blocks = len(network._blocks) - 3
    assert rates == pytest.approx([TUNED.lr * TUNED.lr_decay**below for below in range(1 + n_blocks)])
    assert groups[-1]["lr"] == TUNED.lr * TUNED.head_lr_factor
    trained = {id(p) for group in groups for p in group["params"]}
    left = [network._conv_stem, network._bn0, *network._blocks[:3]]
    assert trained == {id(p) for p in network.parameters()} - {id(p) for module in left for p in module.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(trained)  # none twice


def test_blocks_that_are_left_as_they_are_change_neither_weights_nor_statistics():
    recipe = replace(TUNED, batch_size=4, distort=False)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    settings = {"arch": "efficientnet_lite0", "size": 32, "weights": "random", "device": "cpu", "progress": False}
    targets = np.eye(2, dtype=np.uint8)[np.arange(8) % 2]
    networks_ = {
        epochs: fit(images, targets, **settings, recipe=recipe, epochs=epochs).network.state_dict() for epochs in (1, 2)
    }
    changed = {name for name, value in networks_[1].items() if not torch.equal(value, networks_[2][name])}
    left = ("_conv_stem", "_bn0", "_blocks.0.", "_blocks.1.", "_blocks.2.")
    assert not {name for name in changed if name.startswith(left)}
    others = {name for name, value in networks_[1].items() if value.is_floating_point() and not name.startswith(left)}
    assert others == {name for name in changed if networks_[1][name].is_floating_point()}


def test_averaged_weights_are_the_moving_average_of_those_after_each_step(monkeypatch):
    """A run of its own, its average by hand: the first step's weights, then a share of each further one."""
    keeps, seen = 0.8, []
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
    targets = np.eye(3, dtype=np.uint8)[np.arange(12) % 3]
    settings = {"arch": "alexnet_small", "device": "cpu", "epochs": 2, "progress": False}
    recipe = replace(SMALL, batch_size=4)
    step = Training._step

    def spy(self, x, target):
        found = step(self, x, target)
        seen.append({name: value.clone().double() for name, value in self.encoder.network.state_dict().items()})
        return found

    monkeypatch.setattr(Training, "_step", spy)
    fit(images, targets, **settings, recipe=recipe)
    expected, *others = seen
    for state in others:
        expected = {name: keeps * value + (1 - keeps) * state[name] for name, value in expected.items()}
    averaged = fit(images, targets, **settings, recipe=replace(recipe, ema=keeps)).network.state_dict()
    for name, value in averaged.items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6)


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
        ({"crop": 1.0}, r"crop is 1\.0; give a finite number of at least 0 and below 1"),
        ({"ema": 1.0}, r"ema is 1\.0; give a finite number of at least 0 and below 1"),
        ({"label_smoothing": -0.1}, r"label_smoothing is -0\.1; give a finite number of at least 0"),
        ({"lr_decay": 0.0}, r"lr_decay is 0\.0; give a finite number above 0 and of at most 1"),
        ({"frozen_blocks": -1}, "frozen_blocks is -1; give a whole number in 0"),
        ({"size": 0}, "size is 0; give a whole number in 1"),
        ({"outputs": "classes"}, "outputs must be 'bits' or 'labels', not 'classes'"),
        ({"distort": True}, "a head on a frozen trunk takes features: no crop, distort, frozen_blocks or views"),
    ],
)
def test_a_recipe_that_cannot_be_is_named(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(FROZEN, **change)


# --- recipes by name --------------------------------------------------------------------------------------------------


def test_a_recipe_by_name_brings_its_network_size_epochs_and_outputs():
    said = []
    found = Settings(recipe="tuned", device="cpu").resolved(echo=said.append)
    assert (found.arch, found.size, found.epochs, found.outputs) == ("efficientnet_lite2", 160, 20, "labels")
    assert found.recipe == TUNED
    assert "efficientnet_lite2" in said[0]
    other = Settings(recipe="tuned", arch="efficientnet_lite0", size=96, epochs=6, outputs="bits").resolved()
    assert (other.arch, other.size, other.epochs, other.outputs) == ("efficientnet_lite0", 96, 6, "bits")


def test_a_recipe_by_name_is_that_recipe():
    named, given = (Settings(recipe=recipe, arch="efficientnet_lite2").resolved() for recipe in ("tuned", TUNED))
    assert named == given
    assert named.words() == given.words() == {"recipe": "tuned"}
    assert Settings(recipe="thesis", arch="alexnet").resolved().words() == {}  # it is alexnet's own


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"recipe": "best"}, "recipe must be one of tuned, thesis, or a Recipe, not 'best'"),
        ({"recipe": "tuned", "arch": "alexnet"}, "recipe treats blocks apart, which alexnet does not have"),
        ({"recipe": "tuned", "arch": "efficientnet_lite0_frozen"}, "recipe must have a head for a frozen trunk"),
        (
            {"recipe": "tuned", "arch": "efficientnet_lite2", "size": 16},
            "size must be at least 32 for efficientnet_lite2",
        ),
        ({"outputs": "classes"}, "outputs must be 'auto', 'bits' or 'labels', not 'classes'"),
    ],
)
def test_what_does_not_go_with_a_recipe_is_refused_before_any_work(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**settings)
