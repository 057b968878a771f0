"""An Objective in a training: its own weights, its own last layer, resuming, and features from anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.encoder import FEATURES, RECIPES, SMALL, Encoder, Head, Objective, class_cross_entropy, fit, networks
from hashlib_nb.encoder.heads import Pointwise
from hashlib_nb.encoder.training import Training, optimizer_of
from tests.encoder.test_fitting import IMAGES, LABEL, N, cut_off
from tests.helpers import assert_same

D, K, M = 12, 6, 3
RNG = np.random.default_rng(0)
VALUES = (RNG.normal(0, 2, (M, D))[LABEL] + RNG.normal(0, 1, (N, D))).astype(np.float32)
LABELS = np.eye(M, dtype=np.uint8)[LABEL]
HEAD = replace(RECIPES[FEATURES], batch_size=16)
ON_FEATURES = {"arch": FEATURES, "recipe": HEAD, "epochs": 4, "device": "cpu", "progress": False}
ON_PICTURES = {**ON_FEATURES, "arch": "alexnet_small", "recipe": replace(SMALL, batch_size=16)}


class Classified(Objective):
    """Cross-entropy of a classifier of noisy outputs [b, K], whose weights are the objective's own."""

    def __init__(self, name: str = "classified"):
        super().__init__()
        self.name, self.seen = name, []
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.classifier = nn.Linear(K, M)

    def last_layer(self, width: int, bits: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, bits, bias=False), nn.BatchNorm1d(bits))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor, progress: float = 0.0) -> torch.Tensor:
        self.seen.append((tuple(outputs.shape), tuple(targets.shape), progress))
        noisy = outputs + 0.1 * torch.randn_like(outputs)
        return nn.functional.cross_entropy(self.classifier(noisy), targets, reduction="sum")

    def __str__(self) -> str:
        return self.name


def trained(images=VALUES, objective: Objective | None = None, **options) -> tuple[Encoder, Objective]:
    objective = objective or Classified()
    return fit(images, LABELS, loss=objective, bits=K, **{**ON_FEATURES, **options}), objective


@pytest.fixture
def count_epochs(monkeypatch):
    """A list that gets one entry for each epoch that is trained."""
    epochs, train = [], Training.train_one_epoch
    monkeypatch.setattr(Training, "train_one_epoch", lambda self: (epochs.append(1), train(self))[1])
    return epochs


# --- training ---------------------------------------------------------------------------------------------------------


def test_it_gets_whole_batches_their_targets_and_how_much_is_done():
    fitted, objective = trained()
    steps = 4 * (N // 16)
    assert objective.seen == [((16, K), (16, M), step / steps) for step in range(steps)]
    assert fitted.bits == K
    assert fitted.history.keys() == {"loss"}  # no output is right or wrong


def test_its_own_weights_are_trained_at_the_last_layers_rate():
    fitted, objective = trained(epochs=12)
    assert_differs(objective, Classified())
    said = objective.classifier(torch.from_numpy(fitted.logits(VALUES)))
    assert (said.argmax(1).numpy() == LABEL).mean() > 0.9
    recipe = replace(HEAD, head_lr_factor=7.0)
    (*body, last) = optimizer_of(fitted.network, recipe, *objective.parameters()).param_groups
    ids = {id(weight) for weight in last["params"]}
    assert last["lr"] == 7 * recipe.lr
    layer = networks.last_layer_of(fitted.network)
    assert ids == {id(weight) for weight in [*objective.parameters(), *layer.parameters()]}
    assert not ids & {id(weight) for group in body for weight in group["params"]}


def assert_differs(one: nn.Module, other: nn.Module) -> None:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all((mine != theirs).any() for mine, theirs in pairs)


@pytest.mark.parametrize(
    ("images", "settings"), [(VALUES, ON_FEATURES), (IMAGES, ON_PICTURES)], ids=["head", "network"]
)
def test_a_fit_that_was_cut_off_ends_as_if_it_was_not(images, settings, monkeypatch, tmp_path, count_epochs):
    path = tmp_path / "fit.pt"
    whole, objective = trained(images, **settings)
    cut_off(monkeypatch, 2, lambda: trained(images, checkpoint=path, **settings))
    count_epochs.clear()
    for left in (2, 0):  # and from its end, where nothing is left to train
        resumed, again = trained(images, checkpoint=path, **settings)
        assert_same(resumed, whole)
        assert_same(again.state_dict(), objective.state_dict())
        assert len(count_epochs) == left
        count_epochs.clear()


def test_a_loss_of_single_outputs_is_an_objective_like_any_other():
    """Smoothed targets, counted outputs and the linear last layer that the network has."""
    recipe = replace(HEAD, label_smoothing=0.2)
    options = {**ON_FEATURES, "recipe": recipe, "validation": 0.2}
    plain = fit(VALUES, LABELS, loss=class_cross_entropy, **options)
    same = fit(VALUES, LABELS, loss=Pointwise(class_cross_entropy, 0.2), **options)
    assert_same(same, plain)
    assert plain.history.keys() == {"loss", "bit_accuracy", "validation_bit_accuracy"}
    unsmoothed = fit(VALUES, LABELS, loss=Pointwise(class_cross_entropy), **options)
    assert (unsmoothed.history["loss"] != plain.history["loss"]).any()


def test_a_checkpoint_that_says_nothing_of_an_objective_is_gone_on_with(monkeypatch, tmp_path, count_epochs):
    """Those of a plain loss held None, before every loss was an objective."""
    path, options = tmp_path / "fit.pt", ON_FEATURES
    whole = fit(VALUES, LABELS, **options)
    cut_off(monkeypatch, 2, lambda: fit(VALUES, LABELS, checkpoint=path, **options))
    state = torch.load(path, weights_only=True)
    assert not state["objective"]
    torch.save(state | {"objective": None}, path)
    count_epochs.clear()
    assert_same(fit(VALUES, LABELS, checkpoint=path, **options), whole)
    assert len(count_epochs) == 2


def test_its_own_weights_lie_in_the_checkpoint_and_not_in_the_encoder(tmp_path):
    fitted, objective = trained(checkpoint=tmp_path / "fit.pt")
    state = torch.load(tmp_path / "fit.pt", weights_only=True)
    assert_same(dict(state["objective"]), dict(objective.state_dict()))
    assert not any("classifier" in name for name in fitted.network.state_dict())


@pytest.mark.parametrize("other", [{"objective": Classified("another")}, {"seed": 1}, {"bits": K + 1}], ids=str)
def test_a_checkpoint_of_another_objective_seed_or_length_is_left(other, tmp_path, count_epochs, capsys):
    class Plain(Objective):
        def forward(self, outputs, targets, progress=0.0):
            return ((outputs.sum(1) - targets[:, 0]) ** 2).sum()

    options = {"loss": Plain(), "bits": K, "checkpoint": tmp_path / "fit.pt", **ON_FEATURES}
    fit(VALUES, LABELS, **options)
    count_epochs.clear()
    options |= {"loss": other["objective"]} if "objective" in other else other
    assert fit(VALUES, LABELS, **options).bits == options["bits"]
    assert len(count_epochs) == 4
    assert "of another training" in capsys.readouterr().out


def test_the_callers_random_numbers_stay_as_they_were():
    before = torch.get_rng_state()
    trained()
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_rows_have_no_part():
    rows = np.arange(0, 20)
    changed, labels = VALUES.copy(), LABELS.copy()
    changed[rows], labels[rows] = -3, LABELS[rows][:, ::-1]
    one, _ = trained(validation=rows)
    other = fit(changed, labels, loss=Classified(), bits=K, validation=rows, **ON_FEATURES)
    assert_same(one.logits(VALUES), other.logits(VALUES))
    assert one.history.keys() == {"loss"}


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": replace(HEAD, patience=2)}, "patience watches bits that are right"),
        ({"recipe": replace(HEAD, label_smoothing=0.1)}, "label_smoothing is of targets"),
        ({"bits": 0}, r"bits is 0; give a whole number in 1\.\.65535"),
        ({"bits": 2.5}, r"bits is 2\.5; give a whole number"),
    ],
)
def test_a_recipe_that_does_not_go_with_it_is_refused_before_any_work(options, said, count_epochs):
    with pytest.raises(ValueError, match=said):
        fit(VALUES, LABELS, loss=Classified(), **{**ON_FEATURES, "bits": K, **options})
    assert not count_epochs


def test_of_a_plain_loss_the_targets_say_how_many_bits(count_epochs):
    with pytest.raises(ValueError, match="bits is 6 for targets of 3; leave it out, or give an Objective"):
        fit(VALUES, LABELS, bits=K, **ON_FEATURES)
    assert not count_epochs
    assert fit(VALUES, LABELS, bits=M, **ON_FEATURES).bits == fit(VALUES, LABELS, **ON_FEATURES).bits == M


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "settings"), [(VALUES, ON_FEATURES), (IMAGES, ON_PICTURES)], ids=["head", "network"]
)
def test_an_encoder_with_a_last_layer_of_its_own_is_loaded(images, settings, tmp_path):
    fitted, objective = trained(images, **settings)
    assert isinstance(networks.last_layer_of(fitted.network)[1], nn.BatchNorm1d)
    fitted.save(tmp_path)
    loaded = Encoder.load(tmp_path, device="cpu", last_layer=lambda width: objective.last_layer(width, K))
    assert_same(loaded, fitted)
    assert_same(loaded.logits(images), fitted.logits(images))
    with pytest.raises(ArtifactError, match="it holds other weights than"):
        Encoder.load(tmp_path, device="cpu")


@pytest.mark.parametrize("head", [Head(), Head(hidden=0), Head(hidden=5, batch_norm=False)], ids=str)
def test_a_head_alone_is_fitted_saved_and_loaded(head, tmp_path):
    targets = np.random.default_rng(1).integers(0, 2, (M, K), np.uint8)[LABEL]
    options = {**ON_FEATURES, "epochs": 30, "recipe": replace(HEAD, head=head, lr=0.02)}
    fitted = fit(VALUES, targets, **options)
    assert (fitted.encode(VALUES) == targets).mean() > 0.9
    fitted.save(tmp_path)
    loaded = Encoder.load(tmp_path, device="cpu")
    assert_same(loaded, fitted)
    assert_same(loaded.logits(VALUES), fitted.logits(VALUES))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_head_alone_refuses_pictures(channels):
    pictures = np.repeat(IMAGES, channels, axis=3)
    with pytest.raises(ValueError, match=r"^images are pictures, but arch is features: give features, float \[n, d\]"):
        trained(pictures)
    fitted, _ = trained()
    for call in (fitted.encode, fitted.features):
        with pytest.raises(
            ValueError, match=r"^images are pictures, but this encoder was fitted to features: give those$"
        ):
            call(pictures)


def test_a_head_alone_refuses_features_of_another_width():
    fitted, _ = trained()
    with pytest.raises(ValueError, match="images are 11 features a picture, but features makes 12"):
        fitted.encode(VALUES[:, 1:])


def test_features_without_a_head_alone_or_a_frozen_trunk_are_refused():
    with pytest.raises(ValueError, match=r"images are features \(floats\), but alexnet_small has no frozen trunk"):
        trained(**ON_PICTURES)
