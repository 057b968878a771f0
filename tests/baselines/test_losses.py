"""Losses of other people's methods against plain loops, finite differences and enumeration, and of odd batches."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hashlib_nb import baselines, codes, encoder
from hashlib_nb.baselines import _pairs, pgdh
from hashlib_nb.baselines._centers import far_apart
from hashlib_nb.baselines._deep import Trained
from hashlib_nb.baselines.dnnh import DivideAndEncode
from hashlib_nb.baselines.drlih import Agent

B, K, M = 9, 5, 3
CLASSES = np.eye(M, dtype=np.uint8)[np.array([0, 1, 2, 0, 1, 2, 0, 0, 1])]
SEVERAL = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]])
SEVERAL = SEVERAL.astype(np.uint8)
LABELS = {"one concept": CLASSES, "several": SEVERAL}
TRAINED = [name for name in baselines.names() if baselines.method(name).TRAINED]
PAIRS, TRIPLETS = ("dpsh", "hashgan_pairs", "hashnet"), ("dnnh", "drlih", "dtsh")
SMOOTH = {name: {} for name in TRAINED if name not in ("greedyhash", "pgdh")}
SMOOTH["drlih"] = {"policy_weight": 0.0}  # with it, the gradient is of something else than the loss
"""Methods, and settings, whose gradient is that of the loss; GreedyHash and PGDH have another."""
both = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
every_trained_one = pytest.mark.parametrize("name", TRAINED)


def outputs(b: int = B, k: int = K, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.7, (b, k)))


def loss_of(name: str, labels: np.ndarray, code_length: int = K, progress: float = 0.3, dtype=torch.float64, **options):
    """The loss of a whole training set as a function of its outputs and, if they are to be others, its rows."""
    made = baselines.method(name, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = made.state(code_length, labels.shape[1], 0)
    state = None if state is None else state.to(dtype)
    y = torch.from_numpy(made.targets(labels, code_length, 0)).to(dtype)
    loss = lambda u, rows=slice(None): made.loss(u, y[rows], state, progress)  # noqa: E731
    loss.state = state
    return loss


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def similar(labels: np.ndarray, i: int, j: int) -> bool:
    return bool((labels[i] & labels[j]).any())


def pairs_of(labels: np.ndarray) -> list[tuple[int, int, bool]]:
    n = len(labels)
    return [(i, j, similar(labels, i, j)) for i in range(n) for j in range(n) if i != j]


def triplets_of(labels: np.ndarray) -> list[tuple[int, int, int]]:
    n = range(len(labels))
    near = {(i, j) for i, j, s in pairs_of(labels) if s}
    return [(a, p, q) for a, p in near for q in n if q != a and (a, q) not in near]


def to_signs(u: np.ndarray) -> float:
    return float(np.mean((np.abs(u) - 1) ** 2))


def test_labels_of_the_tests_have_pairs_of_both_kinds():
    for labels in LABELS.values():
        assert 10 < sum(s for *_, s in pairs_of(labels)) < len(pairs_of(labels)) - 10
        assert len(triplets_of(labels)) > 50


# --- pairs ------------------------------------------------------------------------------------------------------------


@both
def test_hashnet_is_its_mean_over_pairs(labels):
    u, progress, growth = outputs().numpy(), 0.3, 20.0
    h = np.tanh(math.sqrt(1 + growth * progress) * u)
    pairs = pairs_of(labels)
    share = np.mean([s for *_, s in pairs])
    terms = []
    for i, j, s in pairs:
        t = 10 / K * h[i] @ h[j]
        terms.append((softplus(t) - s * t) / (share if s else 1 - share))
    loss = loss_of("hashnet", labels, progress=progress, growth=growth)
    assert loss(outputs()).item() == pytest.approx(np.mean(terms), rel=1e-6)


@both
def test_hashgans_pairs_are_their_mean(labels):
    u = outputs().numpy()
    pairs = pairs_of(labels)
    share = np.mean([s for *_, s in pairs])
    terms = []
    for i, j, s in pairs:
        c = 4 * u[i] @ u[j] / np.linalg.norm(u[i]) / np.linalg.norm(u[j])
        terms.append((softplus(c) - s * c) / (share if s else 1))
    assert loss_of("hashgan_pairs", labels, scale=4.0)(outputs()).item() == pytest.approx(np.mean(terms), rel=1e-6)


@both
def test_dpsh_is_its_mean_over_pairs(labels):
    u = outputs().numpy()
    terms = [softplus(u[i] @ u[j] / 2) - s * (u[i] @ u[j] / 2) for i, j, s in pairs_of(labels)]
    expected = np.mean(terms) + 0.7 * to_signs(u)
    assert loss_of("dpsh", labels, eta=0.7)(outputs()).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_a_row_and_itself_are_no_pair(name):
    """Of two rows a pair with itself would change the value with its length, which the pair (0, 1) does not have."""
    labels = CLASSES[:2]  # dissimilar: only a pair (i, i) would be similar
    settings = {"dpsh": {"eta": 0.0}, "hashnet": {"growth": 0.0}, "hashgan_pairs": {}}[name]
    loss = loss_of(name, labels, code_length=2, **settings)
    values = [loss(torch.tensor([[x, 0.0], [0.0, x]], dtype=torch.float64)).item() for x in (0.5, 1.0, 3.0)]
    assert values == pytest.approx([values[0]] * 3)  # at right angles whatever the length
    assert values[0] == pytest.approx(math.log(2))


def test_hashnets_tanh_grows_as_training_goes_on():
    u = outputs()
    early = loss_of("hashnet", CLASSES, progress=0.0, growth=8.0)
    late = loss_of("hashnet", CLASSES, progress=1.0, growth=8.0)
    assert late(u).item() == pytest.approx(early(3 * u).item())
    assert late(u).item() != pytest.approx(early(u).item())


# --- triplets ---------------------------------------------------------------------------------------------------------


@both
def test_dnnh_is_its_mean_over_triplets(labels):
    f = 1 / (1 + np.exp(-outputs().numpy()))
    far = lambda i, j: ((f[i] - f[j]) ** 2).sum()  # noqa: E731
    terms = [max(0, 0.01 * K + far(a, p) - far(a, n)) for a, p, n in triplets_of(labels)]
    assert 0 < sum(term == 0 for term in terms) < len(terms)  # on both sides of the hinge
    assert loss_of("dnnh", labels, margin=0.01)(outputs()).item() == pytest.approx(np.mean(terms), rel=1e-6)


@both
def test_dtsh_is_its_mean_over_triplets(labels):
    u = outputs().numpy()
    terms = [softplus(0.2 * K - (u[a] @ u[p] - u[a] @ u[n]) / 2) for a, p, n in triplets_of(labels)]
    expected = np.mean(terms) + 0.3 * to_signs(u)
    assert loss_of("dtsh", labels, margin=0.2, eta=0.3)(outputs()).item() == pytest.approx(expected, rel=1e-6)


@both
def test_drlih_is_its_mean_over_triplets_and_a_surprise(labels):
    p = 1 / (1 + np.exp(-outputs().numpy()))
    far = lambda i, j: np.linalg.norm(p[i] - p[j])  # noqa: E731
    t = np.mean([max(0, 1 + far(a, s) - far(a, n)) for a, s, n in triplets_of(labels)])
    surprise = np.mean([-np.log(np.where(row > 0.5, row, 1 - row)).sum() / K for row in p])
    expected = 0.9 * t + 0.1 * surprise * t
    assert loss_of("drlih", labels, policy_weight=0.1)(outputs()).item() == pytest.approx(expected, rel=1e-5)


def test_drlihs_policy_term_has_no_gradient_through_its_reward():
    u = outputs().requires_grad_()
    (found,) = torch.autograd.grad(loss_of("drlih", CLASSES, policy_weight=0.4)(u), u)
    t = loss_of("drlih", CLASSES, policy_weight=0.0)(u)
    (of_t,) = torch.autograd.grad(t, u)
    surprise = torch.nn.functional.softplus(-u.abs()).mean()
    (of_surprise,) = torch.autograd.grad(surprise, u)
    torch.testing.assert_close(found, 0.6 * of_t + 0.4 * t.detach() * of_surprise)


@pytest.mark.parametrize("name", TRIPLETS)
@pytest.mark.parametrize("at_once", [1, 5 * B, 7 * B + 3])
def test_triplets_in_chunks_equal_triplets_at_once(name, at_once, monkeypatch):
    def value_and_gradient() -> tuple[torch.Tensor, torch.Tensor]:
        u = outputs().requires_grad_()
        value = loss_of(name, SEVERAL)(u)
        value.backward()
        return value.detach(), u.grad

    whole = value_and_gradient()
    sizes, of_pairs = [], _pairs.checkpoint

    def spy(function, near, anchors, *rest, **options):
        sizes.append(len(anchors))
        return of_pairs(function, near, anchors, *rest, **options)

    monkeypatch.setattr(_pairs, "checkpoint", spy)
    monkeypatch.setattr(_pairs, "TRIPLETS", at_once)
    for found, expected in zip(value_and_gradient(), whole, strict=True):
        torch.testing.assert_close(found, expected)
    assert len(sizes) > 1
    assert max(sizes) == max(1, at_once // B)
    assert sum(sizes) == sum(s for *_, s in pairs_of(SEVERAL))


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "pgdh"])
@both
def test_a_loss_does_not_see_the_order_of_the_batch(name, labels):
    loss, order = loss_of(name, labels), np.random.default_rng(1).permutation(B)
    u = outputs()
    whole = loss(u)
    torch.testing.assert_close(loss(u[order], order), whole)
    assert loss(u[order]).item() != pytest.approx(whole.item(), rel=1e-6)  # but whose outputs are whose


@pytest.mark.parametrize("name", SMOOTH)
@both
def test_gradients_agree_with_finite_differences(name, labels):
    loss = loss_of(name, labels, **SMOOTH[name])
    assert torch.autograd.gradcheck(loss, outputs().requires_grad_())


BATCHES = {
    "no similar pair": np.eye(4, dtype=np.uint8),
    "one class alone": np.eye(4, dtype=np.uint8)[[2] * 4],
    "a single row": np.eye(4, dtype=np.uint8)[:1],
    "all concepts": np.ones((4, 4), np.uint8),
    "every kind of pair": SEVERAL,
}
OUTPUTS = {
    "any": lambda b: outputs(b).float(),
    "all the same": lambda b: outputs(1).float().repeat(b, 1),
    "saturated": lambda b: 60 * torch.sign(outputs(b)).float(),
    "saturated alike": lambda b: torch.full((b, K), 60.0),
}


@every_trained_one
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_batch_that_lacks_pairs_has_a_finite_loss_and_gradient(name, batch, kind):
    labels = BATCHES[batch]
    loss = loss_of(name, labels, dtype=torch.float32)
    u = OUTPUTS[kind](len(labels)).requires_grad_()
    value = loss(u)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert u.grad.isfinite().all()
    weights = [] if loss.state is None else list(loss.state.parameters())
    assert all(weight.grad.isfinite().all() for weight in weights)


@every_trained_one
def test_training_minimizes_a_sum_over_pictures_with_the_methods_own_layer(name):
    """So that learning rates mean the same whatever the batch, and as in the other losses of the encoder."""
    made = baselines.method(name)
    trained = Trained(made, K, M, 0)
    y = torch.from_numpy(made.targets(CLASSES, K, 0)).float()
    torch.manual_seed(0)
    summed = trained(outputs().float(), y, 0.5)
    torch.manual_seed(0)
    assert summed.item() == pytest.approx(B * made.loss(outputs().float(), y, trained.state, 0.5).item())
    layer = trained.last_layer(12, K)
    assert type(layer) is type(made.last_layer(12, K))
    assert layer(torch.randn(4, 12)).shape == (4, K)


@every_trained_one
def test_a_resumed_training_knows_every_setting(name):
    made = baselines.method(name)
    grid = {setting: values[-1] for setting, values in made.GRID.items()}
    said = {str(Trained(each, K, M, seed)) for each in (made, replace(made, **grid)) for seed in (0, 1)}
    assert len(said) == 4


# --- codes to fit to --------------------------------------------------------------------------------------------------


def test_cnnhs_second_stage_is_the_mean_distance_of_tanh_to_codes():
    made, u = baselines.method("cnnh"), outputs()
    b = torch.randint(0, 2, (B, K), generator=torch.Generator().manual_seed(0)).double()
    expected = np.mean([(math.tanh(x) - (1 if bit else -1)) ** 2 for x, bit in zip(u.ravel(), b.ravel(), strict=True)])
    assert made.loss(u, b, None, 0.0).item() == pytest.approx(expected)


def test_the_thesis_loss_and_codes_are_the_packages_own():
    made, u = baselines.method("thesis"), outputs()
    targets = made.targets(SEVERAL, K, 4)
    np.testing.assert_array_equal(targets, codes.infer_codes(SEVERAL, K, seed=4).codes)
    y = torch.from_numpy(targets).double()
    assert made.loss(u, y, None, 0.0).item() == pytest.approx(encoder.bit_cross_entropy(u, y).item() / B)
    literal = baselines.method("thesis", target_codes="literal").targets(SEVERAL, K, 4)
    np.testing.assert_array_equal(literal, codes.infer_codes(SEVERAL, K, seed=4, **codes.LITERAL).codes)


@pytest.mark.parametrize("code_length", [2, 16, 32, 64])
def test_centers_of_a_power_of_two_are_half_the_bits_apart(code_length):
    few, many = (far_apart(n, code_length, 0) for n in (code_length, 2 * code_length))
    distances = (code_length - few @ few.T) / 2
    assert (distances == code_length / 2 * (1 - np.eye(code_length))).all()
    distances = (code_length - many @ many.T) / 2 + code_length * np.eye(len(many))
    assert distances.min() == code_length / 2
    assert set(np.unique(many)) == {-1, 1}


@pytest.mark.parametrize(("n", "code_length"), [(10, 48), (10, 12), (100, 48), (5, 2), (3, 1), (1, 12)])
def test_other_centers_are_the_farthest_of_several_draws(n, code_length):
    found = far_apart(n, code_length, 3)
    assert found.shape == (n, code_length)
    assert set(np.unique(found)) <= {-1, 1}
    rng = np.random.default_rng(3)

    def least(codes: np.ndarray) -> float:
        apart = [(one != other).sum() for one, other in itertools.combinations(codes, 2)]
        return min(apart, default=0)

    assert least(found) == max(least(rng.choice([-1.0, 1.0], (n, code_length))) for _ in range(20))
    assert (far_apart(n, code_length, 4) != found).any() or code_length == 1


@pytest.mark.parametrize("code_length", [16, 48])
def test_csqs_center_of_several_labels_is_their_majority(code_length):
    centers = far_apart(4, code_length, 7)
    labels = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    targets = baselines.method("csq").targets(labels, code_length, 7)
    np.testing.assert_array_equal(targets[:2], centers[:2] > 0)
    np.testing.assert_array_equal(targets[2], centers[:3].sum(axis=0) > 0)
    agreed = centers[0] == centers[1]
    np.testing.assert_array_equal(targets[3][agreed], centers[0][agreed] > 0)
    np.testing.assert_array_equal(targets[3][~agreed], targets[4][~agreed])  # a tie takes a code of no label's
    assert 0 < targets[4].mean() < 1


def test_csq_is_the_cross_entropy_of_centers_and_a_distance_to_codes():
    u = outputs().numpy()
    targets = baselines.method("csq").targets(CLASSES, K, 0)
    p = (np.tanh(u) + 1) / 2
    central = -np.mean(np.where(targets, np.log(p), np.log(1 - p)))
    expected = central + 0.25 * np.mean((np.abs(np.tanh(u)) - 1) ** 2)
    assert loss_of("csq", CLASSES, weight=0.25)(outputs()).item() == pytest.approx(expected)


# --- softmax ----------------------------------------------------------------------------------------------------------


@both
def test_orthohash_without_margin_is_a_softmax_of_scaled_cosines(labels):
    u, centers = outputs().numpy(), far_apart(M, K, 0)
    cosines = u @ centers.T / np.linalg.norm(u, axis=1)[:, None] / np.linalg.norm(centers, axis=1)
    log_p = 6 * cosines - np.log(np.exp(6 * cosines).sum(axis=1, keepdims=True))
    target = labels / labels.sum(axis=1, keepdims=True)
    expected = -(target * log_p).sum(axis=1).mean()
    assert loss_of("orthohash", labels, margin=0.0, scale=6.0)(outputs()).item() == pytest.approx(expected, rel=1e-6)


def test_orthohashs_margin_is_taken_from_the_own_class():
    u, centers = outputs().numpy(), far_apart(M, K, 0)
    terms = []
    for row, own in zip(u, CLASSES.argmax(1), strict=True):
        cosines = [row @ c / np.linalg.norm(row) / np.linalg.norm(c) for c in centers]
        scores = [8 * (cosine - 0.3 * (c == own)) for c, cosine in enumerate(cosines)]
        terms.append(math.log(sum(map(math.exp, scores))) - scores[own])
    assert loss_of("orthohash", CLASSES, margin=0.3)(outputs()).item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_orthohashs_outputs_are_balanced_and_its_centers_not_trained():
    made = baselines.method("orthohash")
    torch.manual_seed(0)
    u = made.last_layer(12, K)(5 + 3 * torch.randn(200, 12))
    torch.testing.assert_close(u.mean(0), torch.zeros(K), atol=1e-5, rtol=0)
    assert not list(made.state(K, M, 0).parameters())


@both
def test_greedyhash_classifies_signs_whose_gradient_is_that_of_the_identity(labels):
    u = outputs().requires_grad_()
    loss = loss_of("greedyhash", labels, alpha=0.4)
    signs = torch.where(u.detach() >= 0, 1.0, -1.0).double().requires_grad_()
    target = torch.from_numpy(labels / labels.sum(1, keepdims=True))
    entropy = -(target * torch.log_softmax(loss.state(signs), 1)).sum(1).mean()
    cubes = ((u.abs() - 1).abs() ** 3).mean()
    torch.testing.assert_close(loss(u), entropy + 0.4 * cubes)
    (of_signs,) = torch.autograd.grad(entropy, signs)
    (of_cubes,) = torch.autograd.grad(cubes, u)
    (found,) = torch.autograd.grad(loss(u), u)
    torch.testing.assert_close(found, of_signs + 0.4 * of_cubes)


# --- last layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "code_length"), [(12, 12), (13, 5), (512, 48), (7, 1)])
def test_divide_and_encode_sees_each_feature_in_one_bit(width, code_length):
    torch.manual_seed(0)
    layer = DivideAndEncode(width, code_length)
    x = torch.randn(1, width, requires_grad=True)
    seen = torch.stack([torch.autograd.grad(layer(x)[0, bit], x)[0][0] != 0 for bit in range(code_length)])
    assert (seen.sum(0) == 1).all()
    sizes = seen.sum(1)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= 1


def test_drlihs_agent_is_a_recurrent_cell_fed_with_its_state():
    torch.manual_seed(0)
    agent, x = Agent(12, 6, 10), torch.randn(4, 12)
    h, said = agent.start(x), []
    for _ in range(6):
        h = agent.cell(h, h)
        said.append(agent.policy(h)[:, 0])
    torch.testing.assert_close(agent(x), torch.stack(said, 1))


# --- policy gradients -------------------------------------------------------------------------------------------------


def reward_by_hand(method: pgdh.PGDH, h: np.ndarray, labels: np.ndarray, i: int) -> float:
    """R_i, of weights that balance all similar against all dissimilar pairs of the batch, and add up to 1 in a row."""
    pairs = pairs_of(labels)
    share = np.mean([s for *_, s in pairs])
    weights = {j: 1 / (share if s else 1 - share) for a, j, s in pairs if a == i}
    total = 0.0
    for j, weight in weights.items():
        t, s = method.sharpness / h.shape[1] * h[i] @ h[j], similar(labels, i, j)
        total += weight * ((1 if s else -1) * t if method.reward == "linear" else s * t - softplus(t))
    return total / sum(weights.values())


def weights_of(labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    s = _pairs.similar(torch.from_numpy(labels).double())
    w = _pairs.balanced(s)
    return s, w / w.sum(1, keepdim=True)


@both
@pytest.mark.parametrize("reward", ["likelihood", "linear"])
@pytest.mark.parametrize("cells", [1, 3 * B * K, pgdh.CELLS])
def test_credit_is_what_flipping_a_bit_pays(labels, reward, cells, monkeypatch):
    monkeypatch.setattr(pgdh, "CELLS", cells)
    method = baselines.method("pgdh", reward=reward, sharpness=7.0)
    h = torch.where(outputs() >= 0, 1.0, -1.0).double()
    found = method.flips(h, *weights_of(labels))
    for i, bit in itertools.product(range(B), range(K)):
        one, zero = h.numpy().copy(), h.numpy().copy()
        one[i, bit], zero[i, bit] = 1, -1
        paid = reward_by_hand(method, one, labels, i) - reward_by_hand(method, zero, labels, i)
        assert found[i, bit].item() == pytest.approx(paid, rel=1e-5, abs=1e-6)


def test_credit_goes_with_its_row_whatever_the_order():
    method, order = baselines.method("pgdh"), np.random.default_rng(1).permutation(B)
    h = torch.where(outputs() >= 0, 1.0, -1.0).double()
    expected = method.flips(h, *weights_of(SEVERAL))[order]
    torch.testing.assert_close(method.flips(h[order], *weights_of(SEVERAL[order])), expected)


def expectations(method: pgdh.PGDH, u: torch.Tensor, labels: np.ndarray, monkeypatch):
    """Every batch of codes that can be drawn: its probability, rewards R [b], and the gradient of the loss."""
    y, pi = torch.from_numpy(labels).double(), torch.sigmoid(u)
    for drawn in itertools.product((0.0, 1.0), repeat=u.numel()):
        bits = torch.tensor(drawn, dtype=torch.float64).view_as(u)
        monkeypatch.setattr(torch, "bernoulli", lambda p, bits=bits: bits)
        leaf = u.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(method.loss(leaf, y, None, 0.0), leaf)
        probability = torch.where(bits > 0, pi, 1 - pi).prod()
        h = (2 * bits - 1).numpy()
        yield probability, torch.tensor([reward_by_hand(method, h, labels, i) for i in range(len(u))]), gradient


@pytest.mark.parametrize("credit", ["flips", "reinforce"])
def test_the_gradient_of_the_loss_is_that_of_the_expected_rewards(credit, monkeypatch):
    """Of R_i alone with respect to row i; REINFORCE's is of R_i less the mean over the batch."""
    labels, b, k = CLASSES[[0, 1, 3]], 3, 2
    u = outputs(b, k, seed=2).requires_grad_()
    method = baselines.method("pgdh", credit=credit, sharpness=3.0)
    states = list(expectations(method, u, labels, monkeypatch))
    assert sum(p for p, *_ in states).item() == pytest.approx(1)
    found = sum(p.detach() * gradient for p, _, gradient in states)
    expected_rewards = sum(p * rewards for p, rewards, _ in states)
    if credit == "reinforce":
        expected_rewards = expected_rewards - expected_rewards.mean()
    exact = [torch.autograd.grad(expected_rewards[i], u, retain_graph=True)[0][i] for i in range(b)]
    torch.testing.assert_close(found, -torch.stack(exact) / b, rtol=1e-5, atol=1e-7)


def test_codes_are_drawn_with_the_probability_of_their_outputs():
    seen = []

    class Spy(pgdh.PGDH):
        def flips(self, h, s, w):
            seen.append(h)
            return super().flips(h, s, w)

    torch.manual_seed(0)
    Spy().loss(torch.full((1000, 3), 0.8).double(), torch.ones(1000, 1).double(), None, 0.0)
    assert set(seen[0].unique().tolist()) == {-1.0, 1.0}
    assert (seen[0] > 0).double().mean().item() == pytest.approx(torch.sigmoid(torch.tensor(0.8)).item(), abs=0.03)


def test_pairs_with_a_generated_picture_weigh_what_they_are_told_and_others_as_ever():
    method = baselines.method("hashgan_pairs", generated_weight=0.25)
    u = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 5)))
    y = torch.eye(2, dtype=torch.float64)[torch.arange(6) % 2]
    state = method.state(5, 2, 0)
    flags = torch.tensor([0.0, 0, 0, 0, 1, 1], dtype=torch.float64)[:, None]
    direction = u / u.norm(dim=1, keepdim=True)
    expected, n_alike = 0.0, 12  # of 30 ordered pairs
    for i in range(6):
        for j in range(6):
            if i != j:
                c, s = float(10 * direction[i] @ direction[j]), (i - j) % 2 == 0
                weight = (30 / n_alike if s else 1) * (0.25 if max(i, j) >= 4 else 1)
                expected += weight * (np.logaddexp(0, c) - s * c) / 30
    found = method.loss(u, torch.hstack([y, flags]), state, 0.0)
    assert float(found) == pytest.approx(expected)
    plain = float(method.loss(u, y, state, 0.0))
    assert float(method.loss(u, torch.hstack([y, 0 * flags]), state, 0.0)) == pytest.approx(plain)
    assert plain != pytest.approx(expected)
