"""Stage 1 against dense n x n arithmetic, autograd, closed forms, and the bound that no codes may beat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import artifacts, codes, datasets
from hashlib_nb.codes import LITERAL, LabelSets, infer_codes, inference
from tests.helpers import assert_same, refusal, run_main, run_python


def class_labels(n: int, n_classes: int) -> np.ndarray:
    """Balanced single-label rows, the classes in turn."""
    return np.eye(n_classes, dtype=np.uint8)[np.arange(n) % n_classes]


def random_labels(seed: int, n: int, m: int, density: float = 0.3) -> np.ndarray:
    """Multi-label rows, none of them empty, with label sets of very different sizes."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, m)) < density * rng.random(m)).astype(np.uint8)
    labels[np.arange(n), rng.integers(0, m, n)] = 1
    return labels


def random_z(seed: int, n: int, k: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, k))


def dense_objective(z: np.ndarray, labels: np.ndarray) -> float:
    """|| Z Z^T - k S ||^2 / (n k)^2, pair by pair."""
    n, k = z.shape
    similar = (labels.astype(int) @ labels.T.astype(int)) > 0
    return np.sum((z @ z.T - k * np.where(similar, 1, -1)) ** 2) / (n * k) ** 2


CASES = [class_labels(23, 4), random_labels(0, 31, 6), np.ones((5, 1), np.uint8), random_labels(1, 1, 3)]
IDS = ["classes", "multi-label", "one class", "one row"]


@pytest.mark.parametrize("labels", CASES, ids=IDS)
@pytest.mark.parametrize("block_size", [None, 1, 2, 7, 23, 1000])
def test_every_gradient_is_that_of_the_dense_objective(labels, block_size):
    z = torch.tensor(random_z(2, len(labels), 9), requires_grad=True)
    s = torch.tensor(codes.similarity(labels), dtype=torch.float64)
    torch.sum((z @ z.T - 9 * s) ** 2).backward()
    gradient = codes.pair_gradient(z.detach(), labels, block_size=block_size)
    torch.testing.assert_close(gradient, z.grad, rtol=1e-10, atol=1e-10)


@given(
    seed=st.integers(0, 999), n=st.integers(1, 30), m=st.integers(1, 5), k=st.integers(1, 8), block=st.integers(1, 31)
)
@settings(max_examples=40, deadline=None)
def test_the_block_size_does_not_matter(seed, n, m, k, block):
    labels, z = random_labels(seed, n, m), torch.tensor(random_z(seed, n, k))
    blockwise = codes.pair_gradient(z, labels, block_size=block)
    torch.testing.assert_close(blockwise, codes.pair_gradient(z, labels), rtol=1e-10, atol=1e-10)


@given(seed=st.integers(0, 999), n=st.integers(1, 40), m=st.integers(1, 6), k=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_the_objective_is_the_dense_one(seed, n, m, k):
    labels, z = random_labels(seed, n, m), random_z(seed, n, k)
    assert codes.pair_objective(z, labels) == pytest.approx(dense_objective(z, labels), rel=1e-5, abs=1e-6)
    binary = (z >= 0).astype(np.uint8)
    exact = pytest.approx(dense_objective(2.0 * binary - 1, labels), rel=1e-12, abs=1e-15)
    assert codes.pair_objective(binary, labels) == exact
    assert codes.pair_objective(binary.astype(bool), LabelSets.of(labels)) == exact


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64, bool])
def test_the_objective_knows_codes_and_signs_of_any_type(kind):
    labels = random_labels(4, 30, 3)
    binary = (random_z(5, 30, 11) >= 0).astype(np.uint8)
    exact = dense_objective(2.0 * binary - 1, labels)
    assert codes.pair_objective(binary.astype(kind), labels) == pytest.approx(exact, rel=1e-12)
    assert codes.pair_objective(torch.tensor(binary.astype(kind)), labels) == pytest.approx(exact, rel=1e-12)
    if kind in (np.int8, np.int64):
        assert codes.pair_objective(2 * binary.astype(kind) - 1, labels) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("block_size", [None, 7])
def test_class_numbers_are_coded_as_their_one_hot_rows(block_size):
    classes, names = np.random.default_rng(0).integers(0, 6, 50), np.array([-7, 0, 1, 30, 31, 10**12])
    rows, numbers = np.eye(6, dtype=np.uint8)[classes], names[classes]
    one, other = (
        infer_codes(labels, 9, epochs=5, finish_sweeps=3, block_size=block_size) for labels in (rows, numbers)
    )
    assert_same(one, other)
    np.testing.assert_array_equal(codes.similarity(rows), codes.similarity(numbers))
    assert codes.pair_objective(one.codes, rows) == codes.pair_objective(one.codes, numbers)
    assert codes.summarize(one, rows) == codes.summarize(other, numbers)
    groups = LabelSets.of(numbers)
    np.testing.assert_array_equal(groups.sets[groups.index], numbers)


def test_a_bound_of_zero_leaves_no_gap(home, capsys):
    for n_classes in (1, 2):
        np.save(home / "labels.npy", np.arange(8) % n_classes)
        run_main(codes, "--labels", home / "labels.npy", "--bits", 4, "--out", home / f"{n_classes}.npz")
        assert "objective 0.0000, no gap: the bound is 0" in capsys.readouterr().out
    assert np.isnan(codes.TargetCodes(np.ones((1, 1), np.uint8), 0.0, 1e-17, {}).gap)


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32, 2**32 + 5, 2**64 - 1])
def test_every_seed_has_codes_of_its_own(seed):
    labels = class_labels(12, 3)
    found, again = (infer_codes(labels, 16, epochs=0, finish_sweeps=0, seed=seed) for _ in range(2))
    assert_same(found, again)
    other = infer_codes(labels, 16, epochs=0, finish_sweeps=0, seed=seed % 2**32 if seed >= 2**32 else 0)
    assert (found.codes != other.codes).any()  # the upper half of a seed counts


def test_similarity_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], np.uint8)
    np.testing.assert_array_equal(codes.similarity(labels), [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    np.testing.assert_array_equal(codes.similarity(labels[:2], labels[2:]), [[-1], [-1]])


def test_label_sets_are_the_distinct_rows():
    labels = random_labels(3, 50, 4)
    groups = LabelSets.of(labels)
    np.testing.assert_array_equal(groups.sets[groups.index], labels)
    assert len({row.tobytes() for row in groups.sets}) == len(groups.sets)
    np.testing.assert_array_equal(groups.counts, np.bincount(groups.index))
    z = random_z(3, 50, 2)
    by_loop = [z[[np.array_equal(row, each) for row in labels]].sum(axis=0) for each in groups.sets]
    np.testing.assert_allclose(groups.sums(z), by_loop)


@pytest.mark.parametrize("n_classes", range(3, 13))
def test_the_bound_of_balanced_classes_is_the_closed_form(n_classes):
    expected = (n_classes - 1) / n_classes * ((n_classes - 2) / (n_classes - 1)) ** 2
    assert codes.lower_bound(class_labels(5 * n_classes, n_classes)) == pytest.approx(expected, rel=1e-4)


@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(3, 6), each=st.integers(1, 4), k=st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_several_codes_a_class_bring_classes_no_further_apart_than_one(seed, n_classes, each, k):
    """Notebook 01: the mean inner product across classes is at least -k / (C - 1), and so the bound stands."""
    labels = class_labels(n_classes * each, n_classes)
    found = np.random.default_rng(seed).integers(0, 2, (len(labels), k), dtype=np.uint8)
    products = (2.0 * found - 1) @ (2.0 * found - 1).T
    across = labels.astype(int) @ labels.T.astype(int) == 0
    assert products[across].mean() >= -k / (n_classes - 1) - 1e-9
    bound = (n_classes - 1) / n_classes * ((n_classes - 2) / (n_classes - 1)) ** 2
    assert codes.pair_objective(found, labels) >= bound - 1e-9


@pytest.mark.parametrize("n_classes", [1, 2])
def test_one_or_two_classes_can_be_coded_perfectly(n_classes):
    labels = class_labels(20, n_classes)
    target = infer_codes(labels, 8, epochs=20)
    assert target.objective == pytest.approx(0, abs=1e-12)
    assert target.lower_bound == pytest.approx(0, abs=1e-6)


def strong_codes(labels: np.ndarray, bits: int) -> np.ndarray:
    """The best of a few long annealings."""
    groups = LabelSets.of(labels)
    found = []
    for seed in range(3):
        start = np.sign(random_z(seed, len(groups.sets), bits))
        *_, z = codes.discrete_finish(start, groups, sweeps=200, seed=seed)
        found.append((z > 0).astype(np.uint8)[groups.index])
    return min(found, key=lambda each: codes.pair_objective(each, labels))


def unit_vector_objective(labels: np.ndarray) -> float:
    """The least objective of real unit vectors, which codes are: what the bound claims to be, found from above."""
    groups = LabelSets.of(labels)
    s, share = torch.tensor(groups.similarity, dtype=torch.float64), torch.tensor(groups.share)
    v = torch.tensor(random_z(0, len(s), len(s)), requires_grad=True)
    optimizer = torch.optim.LBFGS([v], max_iter=1000, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def evaluate():
        optimizer.zero_grad()
        unit = torch.nn.functional.normalize(v, dim=1)
        value = share @ (unit @ unit.T - s) ** 2 @ share
        value.backward()
        return value

    optimizer.step(evaluate)
    return evaluate().item()


BOUNDED = {
    "classes": class_labels(60, 10),
    "unbalanced classes": class_labels(37, 6),
    "multi-label": random_labels(4, 80, 5),
    "dense multi-label": random_labels(5, 60, 12, density=0.8),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_no_codes_beat_the_bound_however_early_it_stops(name):
    labels = BOUNDED[name]
    bounds = [codes.lower_bound(labels, iterations=iterations) for iterations in (1, 2, 5, 15, 200)]
    assert np.all(np.diff(bounds) >= -1e-9)  # more work never loosens it
    assert bounds[-1] == pytest.approx(unit_vector_objective(labels), rel=1e-3)
    best = codes.pair_objective(strong_codes(labels, 256), labels)  # the longer, the closer to the relaxation
    assert 0 < bounds[-1] <= best
    rng = np.random.default_rng(0)
    assert all(codes.pair_objective(rng.integers(0, 2, (len(labels), k), np.uint8), labels) > best for k in (1, 8, 300))


@given(seed=st.integers(0, 999), m=st.integers(1, 5), k=st.integers(1, 24), iterations=st.integers(1, 15))
@settings(max_examples=25, deadline=None)
def test_annealed_codes_of_any_length_stay_above_the_bound(seed, m, k, iterations):
    labels = random_labels(seed, 30, m)
    groups = LabelSets.of(labels)
    *_, z = codes.discrete_finish(np.sign(random_z(seed, len(groups.sets), k)), groups, sweeps=30)
    annealed = codes.pair_objective((z > 0)[groups.index], labels)
    assert codes.lower_bound(labels, iterations=iterations) <= annealed + 1e-9


def sweep_state(seed: int):
    """Label sets with codes [k, u] and residual, as `_anneal_sweep` takes them."""
    groups = LabelSets.of(random_labels(seed, 60, 5))
    z = np.sign(random_z(seed, 7, len(groups.sets))).astype(np.float32)
    return groups, z, z.T @ z - 7 * groups.similarity


def set_objective(z: np.ndarray, groups: LabelSets) -> float:
    return dense_objective(z.T[groups.index], groups.sets[groups.index])


@pytest.mark.parametrize("allowance", [-np.inf, 0.0, 0.5, np.inf])
def test_annealing_keeps_its_residual(allowance):
    groups, z, residual = sweep_state(0)
    before, order = z.copy(), np.random.default_rng(0).permutation(z.size)
    allowances = np.full(z.size, allowance, np.float32)
    inference._anneal_sweep(z, residual, groups.share.astype(np.float32), order, allowances)
    np.testing.assert_array_equal(residual, z.T @ z - 7 * groups.similarity)
    assert set(np.unique(z)) <= {-1, 1}
    if np.isinf(allowance):  # nothing is accepted, or each bit is flipped once
        np.testing.assert_array_equal(z, before if allowance < 0 else -before)
    else:
        assert (z != before).any()
    if allowance == 0:
        assert set_objective(z, groups) < set_objective(before, groups)


@given(seed=st.integers(0, 99), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_flip_changes_the_objective_by_what_annealing_predicts(seed, data):
    groups, z, residual = sweep_state(seed)
    visit = data.draw(st.integers(0, z.size - 1))
    bit, a = divmod(visit, len(groups.sets))
    flipped = z.copy()
    flipped[bit, a] *= -1
    change = (set_objective(flipped, groups) - set_objective(z, groups)) * len(z) ** 2  # of f / n^2
    predicted = change / (8 * groups.share[a])
    for margin, accepted in ((-1e-3, False), (1e-3, True)):  # the kernel accepts what lies below its allowance
        tried, left = z.copy(), residual.copy()
        allowance = np.full(1, predicted + margin, np.float32)
        inference._anneal_sweep(tried, left, groups.share.astype(np.float32), np.array([visit]), allowance)
        np.testing.assert_array_equal(tried, flipped if accepted else z)


def test_the_last_sweep_ends_where_few_flips_help():
    groups, z, _ = sweep_state(1)
    *_, last = codes.discrete_finish(z.T, groups, sweeps=60)
    *_, again = codes.discrete_finish(last, groups, sweeps=1, seed=9)  # temperature 0
    assert set_objective(again.T, groups) <= set_objective(last.T, groups) + 1e-9
    assert np.mean(again != last) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("bits", "gap"), [(16, 0.03), (32, 0.02), (48, 0.015), (64, 0.015)])
def test_the_repaired_default_is_close_to_the_bound(bits, gap, seed):
    labels = class_labels(1500, 10)
    target = infer_codes(labels, bits, seed=seed)
    assert 0 <= target.gap <= gap
    of_class = [np.unique(target.codes[c::10], axis=0) for c in range(10)]
    assert [len(each) for each in of_class] == [1] * 10
    assert len(np.unique(np.concatenate(of_class), axis=0)) == 10


@pytest.mark.parametrize("bits", [32, 64])
def test_the_literal_settings_freeze_noise(bits):
    labels = class_labels(1500, 10)
    literal = infer_codes(labels, bits, **LITERAL)
    assert literal.gap > 0.05 + infer_codes(labels, bits).gap
    assert len(np.unique(literal.codes, axis=0)) > 500


def test_what_infer_codes_returns():
    labels = random_labels(6, 200, 5)
    target = infer_codes(labels, 12, epochs=7, finish_sweeps=4)
    assert target.codes.shape == (200, 12)
    assert target.codes.dtype == np.uint8
    assert target.objective == pytest.approx(dense_objective(2.0 * target.codes - 1, labels))
    assert target.objective == target.history["finish"][-1]
    assert {name: len(values) for name, values in target.history.items()} == {
        "relaxed": 8,
        "binarized": 8,
        "finish": 4,
    }
    groups = LabelSets.of(labels)
    assert len(np.unique(np.c_[groups.index, target.codes], axis=0)) == len(groups.sets)  # one code per label set
    raw = infer_codes(labels, 12, epochs=7, finish_sweeps=0)
    assert raw.objective == raw.history["binarized"][-1] == target.history["binarized"][-1]
    assert infer_codes(labels, 1, epochs=0).codes.shape == (200, 1)


def test_the_relaxation_is_adam_on_the_written_objective():
    labels, n, k, weight = random_labels(10, 40, 4), 40, 6, 30.0
    s = torch.tensor(codes.similarity(labels))
    w = (0.5 * torch.randn(n, k, generator=torch.Generator().manual_seed(5))).requires_grad_()
    adam, expected = torch.optim.Adam([w], lr=0.1), []
    for _ in range(8):
        z = torch.tanh(w)
        expected.append(codes.pair_objective(z.detach().numpy(), labels))
        adam.zero_grad()
        loss = torch.sum((z @ z.T - k * s) ** 2) + weight * torch.sum((z.abs() - 1) ** 2)
        (loss / (4 * n * k)).backward()
        adam.step()
    settings = {"lr": 0.1, "init_scale": 0.5, "quantization_weight": weight, "finish_sweeps": 0, "seed": 5}
    target = infer_codes(labels, k, epochs=7, **settings)
    np.testing.assert_allclose(target.history["relaxed"], expected, rtol=1e-4)
    np.testing.assert_array_equal(target.codes, z.detach().numpy() >= 0)


def test_equal_seeds_give_equal_codes():
    labels = random_labels(7, 300, 6)
    first, second, other = (infer_codes(labels, 24, epochs=20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.codes, second.codes)
    for name, values in first.history.items():
        np.testing.assert_array_equal(values, second.history[name])
    assert (first.codes != other.codes).any()


@pytest.mark.parametrize("labels", [class_labels(120, 5), random_labels(8, 120, 5)], ids=["classes", "multi-label"])
def test_block_size_changes_nothing_but_rounding(labels):
    """W is float32 and Adam divides by the gradient's size, so a bit whose gradient is noise may end otherwise."""
    whole = infer_codes(labels, 16, epochs=15, finish_sweeps=0)
    blocks = infer_codes(labels, 16, epochs=15, finish_sweeps=0, block_size=32)
    np.testing.assert_allclose(blocks.history["relaxed"], whole.history["relaxed"], rtol=1e-3)
    assert np.mean(blocks.codes != whole.codes) < 0.002


SIXTY_THOUSAND = """
import resource
import numpy as np
from hashlib_nb.codes import infer_codes

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
labels = np.eye(10, dtype=np.uint8)[np.arange(60_000) % 10]
infer_codes(labels[:100], 16, epochs=1, finish_sweeps=1)  # whatever is loaded or compiled once
before = peak()
target = infer_codes(labels, 16, epochs=3, finish_sweeps=2)
print(len(target.codes), peak() - before)
"""


@pytest.mark.slow
@pytest.mark.process
def test_sixty_thousand_rows_need_no_matrix_of_pairs():
    rows, mebibytes = map(int, run_python(SIXTY_THOUSAND).split())
    assert rows == 60_000
    assert mebibytes < 300  # one byte a pair would take 3,433


EMPTY_ROW = np.array([[1, 0], [0, 0], [0, 0]], np.uint8)
GOOD = class_labels(6, 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: infer_codes(EMPTY_ROW, 8), r"labels has 2 rows without any label \(row 1 is one\); drop such rows"),
        (lambda: infer_codes(GOOD * 2, 8), "labels has values from 0 to 2; expected 0 and 1 alone"),
        (lambda: infer_codes(2 * GOOD.astype(int) - 1, 8), "labels has values from -1 to 1; map -1"),
        (lambda: infer_codes(GOOD.astype(float), 8), "labels is float64; expected 0/1 integers"),
        (lambda: infer_codes(np.arange(5.0), 8), r"labels is float64 \[5\]; class numbers are integers"),
        (lambda: infer_codes(GOOD, 0), "bits is 0; give a whole number in 1"),
        (lambda: infer_codes(GOOD, 8.0), r"bits is 8\.0; give a whole number in 1"),
        (lambda: infer_codes(GOOD, 10**9), r"bits is 1000000000; give a whole number in 1\.\.65535"),
        (lambda: infer_codes(GOOD, 8, block_size=0), "block_size is 0; give a whole number of at least 1"),
        (lambda: infer_codes(GOOD, 8, epochs=-1), "epochs is -1; give a whole number in 0"),
        (lambda: infer_codes(GOOD, 8, epochs=2.5), r"epochs is 2\.5; give a whole number"),
        (lambda: infer_codes(GOOD, 8, epochs=None), "epochs is None; give a whole number"),
        (lambda: infer_codes(GOOD, 8, finish_sweeps=-1), "finish_sweeps is -1; give a whole number in 0"),
        (lambda: infer_codes(GOOD, 8, lr=float("nan")), "lr is nan; give a finite number of at least 0"),
        (lambda: infer_codes(GOOD, 8, lr=float("inf")), "lr is inf; give a finite number"),
        (lambda: infer_codes(GOOD, 8, lr="1"), "lr is '1'; give a finite number"),
        (
            lambda: infer_codes(GOOD, 8, quantization_weight=1e39),
            r"no numbers after \d+ steps; lower one of lr 0\.3, .* 1e\+39",
        ),
        (lambda: infer_codes(GOOD, 8, init_scale=-0.1), r"init_scale is -0\.1; give a finite number"),
        (lambda: infer_codes(GOOD, 8, quantization_weight=-1), "quantization_weight is -1; give a finite number"),
        (lambda: infer_codes(GOOD, 8, seed=-1), r"seed is -1; give a whole number from 0 to 2\^64 - 1"),
        (lambda: infer_codes(GOOD, 8, seed=2**64), "seed is 18446744073709551616; give a whole number"),
        (
            lambda: infer_codes(np.arange(20_000), 8),
            r"labels has 20,000 distinct label sets, .* take 1\.6 GB; .* 16,384",
        ),
        (lambda: codes.lower_bound(GOOD, iterations=0), "iterations is 0; give a whole number"),
        (lambda: codes.pair_gradient(torch.ones(6, 2), GOOD, block_size=0), "block_size is 0; give a whole number"),
        (lambda: codes.pair_gradient(torch.ones(5, 2), GOOD), "z has 5 rows and labels 6"),
        (lambda: codes.pair_gradient(np.ones((6, 2)), GOOD), r"z is float64 \[6, 2\]; give a tensor of floats"),
        (lambda: codes.pair_objective(GOOD[:5], GOOD), "codes has 5 rows and labels 6; give one row of labels a code"),
        (lambda: codes.pair_objective(GOOD[0], GOOD), r"codes is uint8 \[3\]; give codes"),
        (lambda: codes.pair_objective(255 * GOOD, GOOD), r"codes has values from 0 to 255; give codes \{0,1\}"),
        (lambda: codes.pair_objective(np.full((6, 2), np.nan), GOOD), "codes has values from nan to nan"),
        (lambda: codes.pair_objective(GOOD * 1.0, GOOD), r"codes is of 0\.0 and 1\.0 alone: give integers"),
        (lambda: codes.pair_objective(np.sign(np.arange(-2, 4))[:, None], GOOD), "codes is of -1, 0 and 1"),
        (lambda: next(codes.discrete_finish(GOOD[:3], LabelSets.of(GOOD), sweeps=1)), r"z is uint8 \[3, 3\]; give"),
        (lambda: codes.similarity(GOOD, GOOD[:, :2]), r"labels is \[6, 3\] and other \[6, 2\]"),
        (lambda: codes.similarity(2 * GOOD), "labels has values from 0 to 2"),
        (lambda: codes.lower_bound(EMPTY_ROW), "labels has 2 rows without any label"),
    ],
)
def test_bad_arguments_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_the_command_line_makes_codes_of_a_datasets_labels(home, capsys):
    run_main(codes, "--bits", 8, "--epochs", 5)
    said = capsys.readouterr().out
    place = "artifacts/fashion-mini-k8-s0/target_codes.npz"
    assert said.startswith(f"saved {place} (made in ")
    arrays, meta = artifacts.load_npz(home / place)
    labels = datasets.load("fashion-mini").train.labels
    expected = infer_codes(labels, 8, epochs=5)
    np.testing.assert_array_equal(arrays["codes"], expected.codes)
    assert f"objective {expected.objective:.4f}, {100 * expected.gap:.1f}% above" in said
    assert (meta["made_by"], meta["args"]["epochs"]) == ("hashlib_nb.codes", 5)


def test_what_was_made_is_loaded_and_what_was_damaged_rebuilt(home, capsys):
    labels, out = home / "labels.npy", home / "made" / "codes.npz"
    np.save(labels, random_labels(9, 40, 4))
    options = ("--labels", labels, "--bits", 8, "--epochs", 5, "--out", out)
    run_main(codes, *options)
    first, first_said = out.read_bytes(), capsys.readouterr().out.splitlines()
    run_main(codes, *options)
    second_said = capsys.readouterr().out.splitlines()
    assert second_said[0].startswith("loaded made/codes.npz (made in ")
    assert second_said[1:] == first_said[1:]
    assert out.read_bytes() == first
    out.write_bytes(first[:-50])
    run_main(codes, *options)
    third_said = capsys.readouterr().out.splitlines()
    assert third_said[0].startswith("made/codes.npz is truncated or no npz file")
    assert third_said[1].startswith("saved made/codes.npz")
    assert third_said[2:] == first_said[1:]


def test_the_literal_settings_from_the_command_line(home, capsys):
    np.save(home / "mine.npy", class_labels(50, 5))
    run_main(codes, "--labels", home / "mine.npy", "--bits", 8, "--epochs", 5, "--literal")
    made, meta = artifacts.load_npz(home / "artifacts" / "mine-k8-s0" / "target_codes.npz")
    np.testing.assert_array_equal(made["codes"], infer_codes(class_labels(50, 5), 8, epochs=5, **LITERAL).codes)
    assert {name: meta["args"][name] for name in LITERAL} == LITERAL
    capsys.readouterr()
    run_main(codes, "--labels", home / "mine.npy", "--bits", 8, "--epochs", 5)
    assert "made with other settings (finish_sweeps=0, now 50, init_scale=1.0, now 0.1, lr" in capsys.readouterr().out


def test_a_default_and_the_same_value_are_one_setting(home, capsys):
    labels = class_labels(20, 4)
    made = codes.load_or_infer(home / "x.npz", labels, 4, epochs=100)
    loaded = codes.load_or_infer(home / "x.npz", labels, 4, lr=0.3, block_size=None)
    assert "loaded x.npz" in capsys.readouterr().out
    np.testing.assert_array_equal(made.codes, loaded.codes)
    assert (made.objective, made.lower_bound) == (loaded.objective, loaded.lower_bound)
    for name, values in made.history.items():
        np.testing.assert_array_equal(values, loaded.history[name], strict=True)


@pytest.mark.parametrize("name", ["codes", "objective", "lower_bound"])
@pytest.mark.parametrize("value", [None, np.zeros((3, 3)), np.array("a")])
def test_a_stored_result_of_another_form_is_named_and_made_anew(home, capsys, name, value):
    labels = np.eye(3, dtype=np.uint8)[np.arange(12) % 3]
    made = codes.load_or_infer(home / "x.npz", labels, 4, epochs=5)
    arrays, meta = artifacts.load_npz(home / "x.npz")
    del arrays[name]
    artifacts.save_npz(home / "x.npz", arrays if value is None else arrays | {name: value}, **meta)
    assert_same(codes.load_or_infer(home / "x.npz", labels, 4, epochs=5), made)
    assert "x.npz cannot be used (it has no" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--bits", 0), "error: bits is 0; give a whole number in 1..65535"),
        (("--bits", 10**9), "error: bits is 1000000000; give a whole number in 1..65535"),
        (("--seed", -1), "error: seed is -1; give a whole number from 0 to 2^64 - 1"),
        (("--lr", "nan"), "error: lr is nan; give a finite number of at least 0"),
        (("--labels", "nowhere.npy"), "error: nowhere.npy does not exist"),
        (("--dataset", "nothing"), "error: "),
        (("--out", "."), "is a folder; give the name of a file"),
    ],
)
def test_bad_input_on_the_command_line(home, monkeypatch, options, sentence):
    monkeypatch.chdir(home)
    assert sentence in refusal(codes, *options)
    assert not (home / "artifacts").exists()
