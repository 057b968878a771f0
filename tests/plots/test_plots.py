"""Figures: what they show is what they were given, they are legible, they are saved the same way twice."""

from __future__ import annotations

import inspect
import io
import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

from hashlib_nb import plots
from hashlib_nb.plots import base
from hashlib_nb.thermometer import LEVELS

NAMES = ("T-shirt/top", "Trouser", "Ankle boot")
CLASSES = np.repeat([0, 1, 2], 4)
DISTANCES = np.array([[0, 5, 6], [5, 0, 4], [6, 4, 0]], dtype=np.uint16)
MEANS = np.array([[0.0, 1.0, 1.0, 0.5], [1.0, 0.0, 1.0, 1.0], [0.25, 0.0, 0.0, 1.0]])
HISTORIES = {
    "literal": {"binarized": np.array([1.4, 1.2, 1.1]), "finish": np.array([])},
    "repaired": {"binarized": np.array([1.4, 1.0, 0.8]), "finish": np.array([0.72, 0.71])},
}


CURVE = {"calls": [32, 50, 60], "best": [0.6, 0.63, 0.65], "reward": [0.55, 0.62, 0.58], "steps": [4, 2, 4]}
CURVE = {name: np.array(values) for name, values in CURVE.items()}
SEEDS = {"PPO": np.array([[0.6, 0.7], [0.64, 0.72]]), "random": np.array([[0.5, 0.68], [0.52, 0.66]])}
CALLS = np.array([1, 10, 100])
FOUND = {"PPO": (np.array([0.7, 0.72]), np.array([0.6, 0.61])), "greedy + swap": (np.array([0.71]), np.array([0.62]))}
SO_FAR = {"PPO": np.array([[0.5, 0.6, 0.7], [0.55, 0.6, 0.72]]), "greedy + swap": np.array([[np.nan, 0.65, 0.71]])}
ANYTIME = {pool: {method: (CALLS, best) for method, best in SO_FAR.items()} for pool in ("64", "union", "256")}
EIGHT = ("PPO", "PPO, untrained", "greedy + swap", "annealing", "cross-entropy", "greedy", "backward", "best random")
"""Methods whose names are too long for four columns of a legend."""
SURE_AND_DOUBTFUL = np.array([[4, -5, 3], [0.2, -0.3, 0.9]], dtype=np.float32)
"""Logits of three outputs, the same bits at one half."""
ALIKE = np.array([[0, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=np.uint8)
"""Bits 0 and 1 are one, bit 2 nearly their complement, bit 3 never changes."""
MATCHES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(1, 2, 4, 4, 1)

FAR = np.array([[3, 90, 80, 100], [90, 5, 90, 90], [99, 90, 0, 6]])
"""Distances of a clip's three frames to a film's four: it is the film's beginning."""
RULES = (np.array([0.5, 0.6, 0.7]), np.array([0.0, 0.1, 0.4]), np.array([np.nan, 0.1, 0.2]))
TREE = ((0, 5), (0, 4), (0, 2), (2, 4), (0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
"""Nodes of a Merkle tree of five leaves."""


CODE = np.array([0, 1] * 4 + [1, 1, 0, 0] * 2, dtype=np.uint8)


def same_class() -> np.ndarray:
    return np.where(CLASSES[:, None] == CLASSES, 1.0, -1.0)


TETRAHEDRON = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
SIX_CARDS = np.array([0, 1, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1]) > 0
KEPT = np.array([[0, 2], [1, 0], [2, 1]])
"""Outputs and levels of three bits of `SURE_AND_DOUBTFUL`'s outputs at 0.1, 0.5 and 0.8."""


CASES = {
    "similarity_matrices": lambda: plots.similarity_matrices(same_class(), same_class() * 0.5, CLASSES, NAMES),
    "hamming_cube": lambda: plots.hamming_cube({"two": TETRAHEDRON[:2], "four": TETRAHEDRON}),
    "convergence": lambda: plots.convergence(HISTORIES, 0.7),
    "class_codes": lambda: plots.class_codes({"literal": MEANS, "repaired": MEANS.round()}, NAMES),
    "class_distances": lambda: plots.class_distances(DISTANCES, 9, NAMES),
    "training_curves": lambda: plots.training_curves(
        np.array([0.6, 0.3]), np.array([0.6, 0.9]), np.array([[0.5, 0.8], [0.6, 0.85]]), 0.55
    ),
    "bit_accuracy": lambda: plots.bit_accuracy({"query": np.array([0.9, 0.8]), "in sample": np.array([0.95, 0.97])}),
    "coded_pictures": lambda: plots.coded_pictures(
        np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4, 1), np.eye(2, 5), np.eye(2, 5)[::-1], ["Bag", "Dress"]
    ),
    "distance_histogram": lambda: plots.distance_histogram(
        np.array([8, 1, 0, 1]), np.array([1, 1, 6, 2]), np.array([0, 0, 3, 0])
    ),
    "thermometer": lambda: plots.thermometer(
        MATCHES[0], SURE_AND_DOUBTFUL, ["a sure Bag", "a doubtful Bag"], outputs=[3, 7, 12], levels=[0.1, 0.4, 0.8]
    ),
    "redundant_bits": lambda: plots.redundant_bits(ALIKE, 3),
    "reward_correlations": lambda: plots.reward_correlations(
        {"crossfit": np.array([0.5, 0.6, 0.7]), "in_sample": np.array([0.8, 0.7, 0.9])}, np.array([0.4, 0.6, 0.5])
    ),
    "learning_curve": lambda: plots.learning_curve({"PPO": CURVE}, {"greedy": 0.7, "random": 0.55}, 0.02),
    "kept_bits": lambda: plots.kept_bits(
        {"PPO": np.array([1, 0, 1], dtype=bool), "greedy": np.array([1, 1, 0], dtype=bool)}, np.array([0.4, 0.5, 0.45])
    ),
    "policy_entropy": lambda: plots.policy_entropy({"PPO": np.array([3.0, 2.0, 1.0])}, 3.5),
    "kept_candidates": lambda: plots.kept_candidates(
        {"PPO": np.array([1, 3]), "greedy": np.array([3, 5])}, np.array([0.4, 0.5, 0.6, np.nan, 0.7, 0.8]), [0.2, 0.7]
    ),
    "decision_process": lambda: plots.decision_process([2, 0], 4, 0.512),
    "lattice": lambda: plots.lattice(np.array([0.41, 0.52, 0.5, 0.53, 0.55, 0.48]), 4, [2, 0]),
    "clipped_objective": lambda: plots.clipped_objective(0.2),
    "episode": lambda: plots.episode(np.array([[0.2, 0.8, 0.0], [0.6, 0.0, 0.4]]), np.array([1, 0])),
    "tied_cards": lambda: plots.tied_cards(*SIX_CARDS, np.array([0.44, 0.5, 0.5, 0.59])),
    "map_by_length": lambda: plots.map_by_length([4, 8], SEEDS, {"all bits": 0.75}, np.array([0.02, 0.01])),
    "losses": lambda: plots.losses([4, 8], {"the network": 10 * SEEDS["PPO"], "the choice": -SEEDS["PPO"]}),
    "precision_recall": lambda: plots.precision_recall({"PPO": (np.array([0, 0.5, 1]), np.array([np.nan, 0.9, 0.1]))}),
    "precision_radius2": lambda: plots.precision_radius2([4, 8], {"PPO": SEEDS["PPO"]}, {"PPO": SEEDS["PPO"] - 0.5}),
    "precision_at_n": lambda: plots.precision_at_n(np.array([1, 10]), {"PPO": np.array([0.9, 0.5])}, 4.0),
    "unseen_classes": lambda: plots.unseen_classes(
        {"all bits": np.array([0.4, 0.6]), "cosine of pixels": np.array([0.7, 0.8])},
        {"cosine of pixels": np.array([0.5]), "all bits": np.array([0.8])},
        (0.34, 0.15),
    ),
    "titled_pictures": lambda: plots.titled_pictures(
        {f"picture {n}": np.full((6, 8, 3), 30 * n, np.uint8) for n in range(7)}
    ),
    "seconds_by_workers": lambda: plots.seconds_by_workers([1, 2, 4], [0.5, 3.0, 5.0], [9.0, 5.0, 5.5]),
    "timeline": lambda: plots.timeline([7, 8, 7, 9], [10.0, 10.5, 12.0, 13.0], [12.0, 12.5, 14.0, 15.0], killed=8),
    "alignment": lambda: plots.alignment(FAR, np.array([0, 0, 3, 0, 1, 0]), 5, 5.0),
    "found_by_radius": lambda: plots.found_by_radius(
        np.array([31, 64, 90]), *({"in order": np.array([0.7, 0.8, 0.9]), "vPDQ's rule": each} for each in RULES)
    ),
    "merkle_tree": lambda: plots.merkle_tree(5, 2, dict.fromkeys(TREE, "a")),
    "quantization": lambda: plots.quantization(np.array([0.5, 0.3, 0.25]), {1: 0.4, 2: 0.45}),
    "bit_correlations": lambda: plots.bit_correlations({"one": ALIKE, "two": ALIKE[:, ::-1]}),
    "above_bound": lambda: plots.above_bound(
        {"CNNH": (np.array([0.1, 0.2]), np.array([[0.9, 0.8], [0.8, 0.8]])), "repaired": ([1.0], np.array([0.78]))},
        0.75,
    ),
    "query_distances": lambda: plots.query_distances(
        {"ITQ": np.array([0, 1, 1, 3, 3, 3]), "CSQ": np.array([0, 0, 2, 2, 2, 2])}, np.array([1, 1, 1, 0, 0, 0]) > 0, 4
    ),
    "maps_by_idea": lambda: plots.maps_by_idea(
        {"LSH": (0.3, 0.01), "HashNet": (0.7, 0.02), "DPSH": (0.6, 0.02)},
        {"LSH": "no labels", "HashNet": "pairs", "DPSH": "pairs"},
        {"random codes": 0.1},
    ),
    "leaders": lambda: plots.leaders(
        np.geomspace(1e-5, 100, 9),
        np.geomspace(0.1, 1e5, 8),
        {"64": np.repeat([[-1, 0, 0, 0, 1, 1, 1, 1]], 9, axis=0), "256": np.tril(np.ones((9, 8), int)) - 1},
        ["PPO", "greedy"],
    ),
    "time_to_level": lambda: plots.time_to_level(
        np.geomspace(1e-5, 100, 9),
        {"64": {"PPO": np.geomspace(1, 1e4, 9), "greedy": np.array([0.5] * 8 + [np.inf])}},
        "half of it",
    ),
    "exchanges": lambda: plots.exchanges(
        np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]]),
        {"guessed": MEANS[0][:3], "rewards": MEANS[1][:3]},
        {"guessed": np.array([True, False, False]), "rewards": np.ones(3, bool)},
    ),
    "anytime": lambda: plots.anytime(ANYTIME, xlabel="calls", levels=dict.fromkeys(ANYTIME, 0.5)),
    "reward_and_test": lambda: plots.reward_and_test({"64": (MEANS[0], MEANS[1])}, {"64": FOUND}),
    "differences": lambda: plots.differences(
        ["64, 8", "64, 16"],
        {
            "reward": np.array([[1, 0.5, 1.5], [0.2, -0.1, 0.5]]),
            "test": np.array([[0, np.nan, np.nan], [-1, -2, -0.1]]),
        },
        "PPO minus greedy",
        ylabel="pool, bits kept",
    ),
    "optimality_gap": lambda: plots.optimality_gap(CALLS, dict.fromkeys(EIGHT, SO_FAR["PPO"]), 0.73),
    "chosen_shares": lambda: plots.chosen_shares(
        {"PPO": np.array([1, 0.5, 0]), "greedy": np.array([1, 0, 1])}, np.array([0.4, 0.5, 0.45])
    ),
    "importances": lambda: plots.importances(
        {"PPO": {"learning_rate": 0.5, "hidden": 0.3, "clip": 0.2}, "annealing": {"start": 1.0}}
    ),
    "slices": lambda: plots.slices(
        {"learning_rate": [0.01, 0.001, 0.1], "anneal_lr": [True, False, True], "hidden": [64, 32, 8]},
        np.array([0.5, 0.6, 0.2]),
        np.array([True, True, False]),
        logs=["learning_rate"],
        default={"learning_rate": 0.01, "anneal_lr": True, "hidden": 64},
    ),
    "steps": lambda: plots.steps({f"step {step}": image for step, image in enumerate([MATCHES[0, 0, ..., 0]] * 7)}),
    "hash_bits": lambda: plots.hash_bits({"pHash": (CODE, CODE), "PDQ": (CODE, CODE[::-1])}, 4),
    "pair_shares": lambda: plots.pair_shares(
        {"pHash": np.array([0, 0.1, 1]), "PDQ": np.array([0.01, 0.2, 1])}, np.array([0.25, 0.75, 1])
    ),
    "roc": lambda: plots.roc({"pHash": (np.array([0, 0.001, 1]), np.array([0.5, 0.9, 1]))}, 0.001),
    "found_by_family": lambda: plots.found_by_family(
        np.array([[1, 0.5, 0], [0.2, 0.3, 0.4]]), ["pHash", "PDQ"], ["JPEG", "crop", "saturation"]
    ),
    "shares_learned": lambda: plots.shares_learned([50, 200], {"photographs": [0.7, 0.8], "generated": [0.75, 0.9]}),
    "top_matches": lambda: plots.top_matches(
        MATCHES[:, 0], MATCHES, np.array([[True, False]]), ["Trouser"], [["distance 0", "distance 2"]]
    ),
    "banner": lambda: plots.banner(  # each further picture makes it wider: README shows it across the page
        MATCHES[0, 0], np.array([1, 0, 1, 1]), np.array([0, 3]), MATCHES[0, :1], np.array([True]), ["Trouser"]
    ),
    "picture_to_bits": lambda: plots.picture_to_bits(MATCHES[0, 0], SURE_AND_DOUBTFUL[1], [0.1, 0.5, 0.8]),
    "pipeline": lambda: plots.pipeline(
        MATCHES[0, 0],
        SURE_AND_DOUBTFUL[1],
        [0.1, 0.5, 0.8],
        KEPT,
        np.concatenate([MATCHES[0]] * 2),
        np.array([True, False] * 2),
        0.875,
    ),
    "neighbors": lambda: plots.neighbors(
        MATCHES[0], [[*MATCHES[0]] * 4, []], ["a.jpg", "b.jpg"], [[f"distance {d}\n{d}.jpg" for d in range(8)], []]
    ),
    "search_answer": lambda: plots.search_answer(
        MATCHES[0, 0],
        np.array([1, 0, 1, 1]),
        np.array([0, 1, 3]),
        np.concatenate([*MATCHES] * 3),
        np.array([True, False] * 3),
        [f"distance {d}\nTrouser" for d in range(6)],
    ),
}
"""One example of each figure; every test below that takes `figure` runs over all of them."""


@pytest.fixture(scope="module", params=sorted(CASES))
def figure(request) -> Figure:
    """Drawn once for all tests that only look at it."""
    return CASES[request.param]()


def test_every_figure_function_has_a_case():
    functions = inspect.getmembers(plots, inspect.isfunction)
    public = {name for name, function in functions if function.__module__.startswith(plots.__name__)}
    assert public - {"save_fig", "save_png", "style"} == set(CASES)


def read(labels: list[Text]) -> list[str]:
    return [label.get_text() for label in labels if label.get_visible() and label.get_text()]


def test_axes_have_labels_and_letters_that_can_be_read(figure):
    figure.draw_without_rendering()
    for ax in (ax for ax in figure.axes if ax.axison):
        assert ax.get_ylabel() or not read(ax.get_yticklabels())  # a neighbor shows the shared axis
        assert ax.get_xlabel() or not read(ax.get_xticklabels())
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7
    assert 4.5 <= figure.get_figwidth() <= 7  # inches: about as wide as a page's text


def test_nothing_is_cut_off(figure):
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    assert min(drawn.x0, drawn.y0) >= 0
    assert drawn.x1 <= figure.get_figwidth()
    assert drawn.y1 <= figure.get_figheight()


def test_figures_stay_outside_pyplot_and_show_what_is_saved(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    assert plots.save_fig(figure, "01_example") is figure
    assert (tmp_path / "runs" / "figures" / "01_example.png").read_bytes() == figure._repr_png_()
    assert not (tmp_path / "figures").exists()  # the tracked ones: only `make figures` refreshes them
    assert Gcf.figs == {}


@pytest.mark.parametrize("name", ["anytime", "class_distances", "coded_pictures"])  # lines, shades, pictures
def test_equal_data_gives_equal_bytes_whatever_the_users_settings(name):
    first = CASES[name]()._repr_png_()
    theirs = {"font.size": 20, "lines.linewidth": 9, "xtick.labelsize": 20, "axes.grid": True, "image.cmap": "jet"}
    with matplotlib.rc_context(theirs):
        second = CASES[name]()._repr_png_()
        assert {key: matplotlib.rcParams[key] for key in theirs} == theirs  # nor do figures change the settings
    assert first == second
    assert b"tEXt" not in first  # no version, no date
    assert imread(io.BytesIO(first)).std() > 0


def test_every_figure_is_drawn_in_the_theme():
    """What the three figures above stand for: no function draws outside it."""
    functions = [getattr(plots, name) for name in CASES]
    assert all(hasattr(function, "__wrapped__") for function in functions)


@pytest.mark.parametrize("name", ["", "01.png", "folder/01", "../01"])
def test_save_fig_refuses_folders_and_endings(name):
    with pytest.raises(ValueError, match="without folder and ending"):
        plots.save_fig(CASES["convergence"](), name)


def test_no_two_methods_look_alike_in_color_or_in_grey():
    for (one, a), (other, b) in itertools.combinations(plots.METHODS.items(), 2):
        assert to_rgb(a[0]) != to_rgb(b[0]), (one, other)
        assert a[1:] != b[1:], (one, other)


def test_a_title_of_ones_own_has_a_look_unlike_the_listed_ones_wherever_it_is_drawn():
    own = plots.style("my own way")
    assert own == plots.style("my own way")
    assert own["label"] == "my own way"
    assert (own["linestyle"], own["marker"]) not in {look[1:] for look in plots.METHODS.values()}
    assert own["color"] not in {look[0] for look in plots.METHODS.values()}
    subsets = {"64": (MEANS[0], MEANS[1])}
    figures = {
        "anytime": plots.anytime({"64": {"my own way": (CALLS, SO_FAR["PPO"])}}, xlabel="calls", levels={"64": 0.5}),
        "reward_and_test": plots.reward_and_test(subsets, {"64": {"my own way": FOUND["PPO"]}}),
        "optimality_gap": plots.optimality_gap(CALLS, {"my own way": SO_FAR["PPO"]}, 0.73),
        "map_by_length": plots.map_by_length([4, 8], {"my own way": SEEDS["PPO"]}, {}, np.zeros(2)),
    }
    for figure in figures.values():
        assert "my own way" in [text.get_text() for text in figure.legends[0].get_texts()]
        assert own["color"] in [drawn.get_color() for drawn in figure.axes[0].lines]
    kept = plots.kept_bits({"my own way": np.array([True, False])}, np.array([0.4, 0.5]))
    assert to_hex(kept.axes[0].collections[0].to_rgba(1)) == own["color"]


def test_titles_of_ones_own_hardly_look_alike():
    own = [plots.style(f"method {number}") for number in range(20)]
    for one, other in itertools.combinations(own, 2):
        assert any(one[key] != other[key] for key in ("color", "linestyle", "marker"))


def test_convergence_draws_percent_above_the_bound_and_the_finish_after_the_last_step():
    lines = {line.get_label(): line for line in CASES["convergence"]().axes[0].lines}
    np.testing.assert_allclose(lines["literal"].get_xydata(), [[0, 100], [1, 500 / 7], [2, 400 / 7]])
    np.testing.assert_allclose(lines["discrete finish"].get_xydata(), [[3, 100 * 0.02 / 0.7], [4, 100 * 0.01 / 0.7]])
    assert set(lines["lower bound"].get_ydata()) == {0}


def test_convergence_without_a_positive_bound_shows_the_objective():
    ax = plots.convergence({"repaired": HISTORIES["repaired"]}, 0.0).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [140, 100, 80])
    assert ax.get_ylabel() == "objective (%)"


def test_rows_of_a_class_carry_its_name_in_the_middle():
    ax = CASES["similarity_matrices"]().axes[0]
    assert dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels()), strict=True)) == {
        2.0: NAMES[0],
        6.0: NAMES[1],
        10.0: NAMES[2],
    }


def test_similarity_0_is_white_and_the_two_signs_differ_in_grey_as_well():
    fig = plots.similarity_matrices(np.array([[-1.0, 0.0], [0.0, 1.0]]), np.eye(2), np.array([0, 1]), NAMES[:2])
    minus, zero, _, one = np.atleast_2d(fig.axes[0].collections[0].to_rgba([-1.0, 0.0, 0.0, 1.0]))[:, :3] @ (
        0.3,
        0.59,
        0.11,
    )
    assert zero == pytest.approx(1)
    assert one + 0.3 < minus < zero - 0.2


def test_levels_are_named_at_their_ends_and_names_keep_apart():
    levels = {"greedy": 0.7, "all bits": 0.6999, "random": 0.55}
    fig = plots.learning_curve({"PPO": CURVE}, levels, 0.02)
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["PPO"]
    at = {text.get_text(): text.xy[1] for text in fig.axes[0].texts}
    assert at.keys() == levels.keys()
    assert np.diff(sorted(at.values())).min() > 0.049
    bottom, top = fig.axes[0].get_ylim()
    assert at["random"] == pytest.approx((0.55 - bottom) / (top - bottom))


def test_precision_of_the_first_n_is_a_difference_to_all_bits_in_points():
    curves = {"PPO": np.array([0.9, 0.5]), "all bits": np.array([0.8, 0.55])}
    lines = {
        line.get_label(): line.get_ydata()
        for line in plots.precision_at_n(np.array([1, 10]), curves, 4.0).axes[0].lines
    }
    np.testing.assert_allclose(lines["PPO"], [10, -5])
    np.testing.assert_allclose(lines["all bits"], 0)


def test_the_table_of_dots_has_means_and_sample_deviations():
    empty = {"PPO": np.array([[0.0, 0.2], [0.1, 0.4]]), "random": np.array([[0.0, 0.1], [0.0, 0.3]])}
    axes = np.reshape(plots.precision_radius2([4, 8], SEEDS, empty).axes, (2, 2))
    dots = [[[float(line.get_xdata()[0]) for line in ax.lines] for ax in row] for row in axes]
    np.testing.assert_allclose(dots, [[[0.62, 0.51], [0.71, 0.67]], [[5, 0], [30, 20]]])
    (spread,) = axes[0, 0].collections[0].get_segments()
    np.testing.assert_allclose(spread[:, 0], 0.62 + np.array([-1, 1]) * np.std([0.6, 0.64], ddof=1))
    assert [label.get_text() for label in axes[0, 0].get_yticklabels()] == ["PPO", "random"]


def test_classes_without_a_picture_are_not_named():
    ax = plots.similarity_matrices(np.eye(4), np.eye(4), np.array([0, 0, 2, 2]), NAMES).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [NAMES[0], NAMES[2]]


def test_distances_are_written_into_the_table_and_counted_by_pair():
    table, histogram = CASES["class_distances"]().axes
    assert [text.get_text() for text in table.texts] == [str(value) for value in DISTANCES.ravel()]
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in histogram.patches}
    assert bars == pytest.approx({4: 1, 5: 1, 6: 1})
    # three codes of 9 bits: the mean distance is at most 9/2 * 3/2
    assert [line.get_xdata()[0] for line in histogram.lines] == pytest.approx([5, 6.75])


def test_many_classes_get_a_color_bar_instead_of_numbers_and_fewer_names():
    c = 80
    fig = plots.class_distances(np.full((c, c), 3) - 3 * np.eye(c, dtype=int), 8, [f"class {i}" for i in range(c)])
    table = fig.axes[0]
    assert len(fig.axes) == 3
    assert not table.texts
    assert 0 < len(table.get_yticks()) <= base.MOST_NAMES


def test_anytime_draws_the_mean_of_the_seeds_inside_their_range_from_the_first_subset_on():
    ax = CASES["anytime"]().axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["PPO"].get_xydata(), [[1, 0.525], [10, 0.6], [100, 0.71]])
    np.testing.assert_allclose(lines["greedy + swap"].get_xydata(), [[10, 0.65], [100, 0.71]])
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0.5, 0.72)


def test_a_line_of_one_point_shows_it():
    late = {"PPO": np.array([[np.nan, np.nan, 0.7]])}
    one = plots.optimality_gap(CALLS, late, 0.73).axes[0].lines[0]
    assert (one.get_markevery(), one.get_marker()) == (1, "o")
    np.testing.assert_allclose(one.get_xydata(), [[100, 3]])


def test_an_empty_place_beside_the_last_of_three_panels_is_removed():
    assert [ax.get_title() for ax in CASES["anytime"]().axes] == ["64", "union", "256"]


def test_differences_fill_the_dots_whose_interval_leaves_out_zero():
    reward, test = CASES["differences"]().axes
    filled = [ax.collections[-1].get_facecolors()[:, 0] < 1 for ax in (reward, test)]
    np.testing.assert_array_equal(filled, [[True, False], [False, True]])


def test_optimality_gap_is_in_points_below_the_optimum():
    ppo = CASES["optimality_gap"]().axes[0].lines[0]
    np.testing.assert_allclose(ppo.get_ydata(), [20.5, 13, 2])


def test_importances_are_bars_as_long_as_the_shares_in_the_given_order():
    ppo, annealing = CASES["importances"]().axes
    assert [bar.get_width() for bar in ppo.patches] == [0.5, 0.3, 0.2]
    assert [label.get_text() for label in ppo.get_yticklabels()] == ["learning_rate", "hidden", "clip"]
    assert [bar.get_width() for bar in annealing.patches] == [1.0]


def test_slices_tell_whole_trials_from_those_that_ended_early_and_show_the_defaults():
    rate, schedule, hidden = CASES["slices"]().axes
    whole, early, default = hidden.collections
    np.testing.assert_array_equal(whole.get_offsets(), [[64, 0.5], [32, 0.6]])
    np.testing.assert_array_equal(early.get_offsets(), [[8, 0.2]])
    np.testing.assert_array_equal(default.get_offsets(), [[64, 0.5]])
    assert (rate.get_xscale(), hidden.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in schedule.get_xticklabels()] == ["false", "true"]


def test_chosen_shares_stand_in_the_order_of_the_bits_own_map():
    fig = CASES["chosen_shares"]()
    np.testing.assert_array_equal(fig.axes[0].collections[0].get_array(), [[0.5, 0, 1], [0, 1, 1]])
    np.testing.assert_array_equal(fig.axes[1].collections[0].get_offsets(), [[0.5, 0.5], [1.5, 0.45], [2.5, 0.4]])


def test_kept_bits_are_black_below_where_every_method_keeps_them():
    rows, points = CASES["kept_bits"]().axes
    np.testing.assert_array_equal(rows.collections[0].get_array(), [[1, 0, 1], [2, 2, 0]])
    assert [color[0] < 0.5 for color in points.collections[0].get_facecolors()] == [True, False, False]


def test_bars_of_several_seeds_are_their_standard_deviation_and_stand_beside_each_other():
    ax = CASES["map_by_length"]().axes[0]
    ppo, random = (line for line in ax.lines if line.get_label() in SEEDS)
    np.testing.assert_allclose(ppo.get_ydata(), [0.62, 0.71])
    assert (ppo.get_xdata() < random.get_xdata()).all()
    bars = next(one for one in ax.collections if isinstance(one, LineCollection))
    low, high = np.array(bars.get_segments())[0, :, 1]
    np.testing.assert_allclose([low, high], 0.62 + np.array([-1, 1]) * np.std([0.6, 0.64], ddof=1))
    one_seed = plots.map_by_length([4, 8], {"PPO": SEEDS["PPO"][:1]}, {}, np.zeros(2)).axes[0]
    assert not [one for one in one_seed.collections if isinstance(one, LineCollection)]


def test_a_method_that_found_nothing_leaves_the_others_drawn():
    best = {"PPO": SO_FAR["PPO"], "greedy": np.full((2, 3), np.nan)}
    lines = plots.optimality_gap(CALLS, best, 0.73).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [20.5, 13, 2])


def test_a_thermometer_is_filled_up_to_what_the_output_says_and_the_bit_at_one_half_stands_beside_it():
    pictures_and_bars = CASES["thermometer"]().axes
    for ax, logits in zip(pictures_and_bars[1::2], SURE_AND_DOUBTFUL, strict=True):
        said = 1 / (1 + np.exp(-logits.astype(float)))
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], said)
        dark, empty = (np.asarray(dots.get_offsets()) for dots in ax.collections)
        wanted = {(level, row) for row in range(3) for level in (0.1, 0.4, 0.8) if level <= said[row]}
        assert {*map(tuple, dark)} == wanted
        assert len(dark) + len(empty) == 9
        colors = [to_rgb(dots.get_facecolor()[0]) for dots in ax.collections]
        assert colors[0] < colors[1] == (1, 1, 1)
        assert [text.get_text() for text in ax.texts[:3]] == ["1", "0", "1"]
    assert read(pictures_and_bars[1].get_yticklabels()) == ["3", "7", "12"]
    assert [ax.get_xlabel() for ax in pictures_and_bars[::2]] == ["a sure Bag", "a doubtful Bag"]


def test_an_output_of_which_every_level_says_the_same_is_drawn_too():
    bars = plots.thermometer(MATCHES[0, :1], np.array([[20.0]]), ["sure"]).axes[1]
    assert sum(len(dots.get_offsets()) for dots in bars.collections) == len(LEVELS)


def test_pairs_are_counted_in_percent_at_their_distance():
    ax = CASES["distance_histogram"]().axes[0]
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in ax.patches}
    assert bars == pytest.approx({0: 10, 1: 10, 2: 60, 3: 20})
    np.testing.assert_allclose(ax.collections[-1].get_offsets(), [[2, 100]])


def test_a_search_answer_leaves_bits_that_are_not_used_empty_and_begins_a_new_row_after_five_pictures():
    fig = CASES["search_answer"]()
    query, bars, *found = fig.axes
    np.testing.assert_array_equal(np.ma.filled(bars.collections[0].get_array(), -1), [[1, 0, -1, 1]])
    assert [ax.get_xlabel().split("\n")[0] for ax in found] == [f"distance {d}" for d in range(6)]
    assert [ax.get_subplotspec().rowspan.start for ax in found] == [1] * 5 + [2]
    assert query.get_xlabel() == "query"


@pytest.mark.parametrize(("p", "every"), [(16, 1), (64, 3)])
def test_what_bits_ask_stands_under_them_in_a_search_answer(p, every):
    shown = MATCHES[0, 0], np.ones(p), np.arange(p), MATCHES[0, :1], np.array([True]), ["Trouser"]
    bars = plots.search_answer(*shown, names=[f"{j}\n0.05" for j in range(p)]).axes[1]
    wanted = {j + 0.5: f"{j}\n0.05" for j in range(0, p, every)}
    assert dict(zip(bars.get_xticks(), read(bars.get_xticklabels()), strict=True)) == wanted


def test_bits_of_a_long_code_do_not_vanish_between_the_white_lines():
    kept = plots.kept_bits({"PPO": np.arange(1024) < 512}, np.linspace(0.4, 0.5, 1024))
    assert (imread(io.BytesIO(kept._repr_png_()))[:, :, 0] < 0.2).mean() > 0.03  # PPO's blue has hardly any red


def test_kept_candidates_stand_at_their_output_and_level_and_what_could_not_be_chosen_is_grey():
    ax = CASES["kept_candidates"]().axes[0]
    shades, *marks = ax.collections
    np.testing.assert_array_equal(np.ma.filled(shades.get_array(), -1), [[0.4, 0.6, 0.7], [0.5, -1, 0.8]])
    assert read(ax.get_yticklabels()) == ["0.2", "0.7"]
    assert not ax.yaxis_inverted()
    seen = [mark for mark in marks if mark.get_label() in ("PPO", "greedy")]
    np.testing.assert_allclose(
        [mark.get_offsets() for mark in seen], [[[0.5, 1.5], [1.5, 1.5]], [[1.5, 1.5], [2.5, 1.5]]]
    )


def test_an_episode_among_many_bits_shows_the_likeliest_and_those_that_are_taken():
    probabilities = np.full((3, 200), 0.001)
    probabilities[1, 150:200] = 0.01
    fig = plots.episode(probabilities, np.array([5, 199, 0]), [f"bit {i}" for i in range(200)])
    ax = fig.axes[0]
    shown = [0, 5, *range(1, 5), *range(6, 14), *range(150, 200)]
    np.testing.assert_allclose(
        np.ma.getdata(ax.collections[0].get_array())[1], np.where(np.sort(shown) < 150, 0.001, 0.01)
    )
    np.testing.assert_allclose(ax.collections[1].get_offsets(), [[5.5, 0.5], [63.5, 1.5], [0.5, 2.5]])
    assert read(ax.get_xticklabels())[:2] == ["bit 0", "bit 8"]
    assert "the 64 likeliest of 200" in ax.get_xlabel()


def test_losses_are_bars_of_the_seeds_means():
    parts = {"the network": np.array([[1.0, 2.0], [3.0, 6.0]]), "the choice": np.array([[-1.0, 0.5], [0.0, 0.5]])}
    ax = plots.losses([4, 8], parts).axes[0]
    assert [[bar.get_height() for bar in bars] for bars in ax.containers] == [[2.0, 4.0], [-0.5, 0.5]]
    assert plots.losses([4, 8], {name: part[:1] for name, part in parts.items()}).axes[0].patches[0].get_height() == 1


def test_a_draw_of_classes_is_a_dot_and_their_mean_a_mark_in_the_methods_look():
    fig = CASES["unseen_classes"]()
    assert read(fig.axes[0].get_yticklabels()) == ["all bits", "cosine of pixels"]
    for ax, means, draws in zip(fig.axes, ([0.5, 0.75], [0.8, 0.5]), ([0.4, 0.6, 0.7, 0.8], [0.8, 0.5]), strict=True):
        marks = [line for line in ax.lines if line.get_label() in ("all bits", "cosine of pixels")]
        np.testing.assert_allclose([mark.get_xydata()[0] for mark in marks], [[means[0], 0], [means[1], 1]])
        dots = np.concatenate([np.asarray(each.get_offsets()) for each in ax.collections])
        np.testing.assert_allclose(np.sort(dots[:, 0]), np.sort(draws))
        assert "chance" in [text.get_text() for text in ax.texts]
        assert ax.yaxis_inverted()


def test_chance_is_said_and_not_drawn_to_scale():
    ax = plots.map_by_length([4, 8], SEEDS, {"all bits": 0.75}, np.zeros(2), 0.1).axes[0]
    assert ax.texts[0].get_text() == "chance, far below: 0.100"
    assert ax.get_ylim()[0] > 0.1


def test_codes_of_a_cube_are_joined_with_their_hamming_distances_and_edges_are_flips_of_one_bit():
    two, four = CASES["hamming_cube"]().axes
    for ax, codes, distances in ((two, TETRAHEDRON[:2], ["2"]), (four, TETRAHEDRON, ["2"] * 6)):
        dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
        assert len(dashed) == len(distances)
        assert [text for text in read(ax.texts) if text.isdigit() and len(text) == 1] == distances
        assert len(ax.lines) - len(dashed) == 12  # a cube's edges
        assert sorted(text for text in read(ax.texts) if text.isalpha()) == list("ABCD"[: len(codes)])
        at = {text.get_text(): np.array(text.get_position()) for text in ax.texts}
        assert sum(len(text) == 3 for text in at) == 8
    plots.hamming_cube({"all": np.array(list(itertools.product((0, 1), repeat=3)))})


@pytest.mark.parametrize("codes", [np.zeros((2, 3)), np.eye(4), np.zeros(3)])
def test_a_cube_is_of_different_codes_of_three_bits(codes):
    with pytest.raises(ValueError, match=r"sets has .* under 'two'; give different codes of 3 bits"):
        plots.hamming_cube({"two": codes})


def test_cards_lie_in_the_bin_of_their_distance_and_every_order_is_a_dot():
    bins, strip = CASES["tied_cards"]().axes
    rims = [patch for patch in bins.patches if patch.get_facecolor()[3] == 0]
    cards = [patch for patch in bins.patches if patch.get_facecolor()[3] > 0]
    edges = [(rim.get_bbox().x0, rim.get_bbox().x1) for rim in rims]
    lies_in = [[left <= card.get_bbox().x0 <= right for left, right in edges].index(True) for card in cards]
    assert lies_in == [0, 1, 1, 1, 2, 2]
    dark = [card.get_facecolor()[0] < 0.5 for card in cards]
    assert dark == [False, True, True, False, True, False]  # in a bin the relevant ones first
    np.testing.assert_allclose(np.sort(strip.collections[0].get_offsets()[:, 0]), [0.44, 0.5, 0.5, 0.59])
    assert len(np.unique(strip.collections[0].get_offsets(), axis=0)) == 4
    assert "mean 0.507" in read(strip.texts)


def test_redundant_bits_lie_side_by_side_and_fill_few_directions():
    shades, carried, _ = CASES["redundant_bits"]().axes
    r = np.asarray(shades.collections[0].get_array()).reshape(4, 4)
    known = np.abs(np.corrcoef(ALIKE[:, :3].astype(float), rowvar=False))
    np.testing.assert_allclose(np.sort(r, axis=None), np.sort(np.pad(known, ((0, 1), (0, 1))), axis=None), atol=1e-9)
    pairs = [place for place in range(3) if r[place, place + 1] > 0.999]
    assert len(pairs) == 1  # bits 0 and 1, which are one
    share = carried.lines[0].get_ydata()
    np.testing.assert_allclose(share[1:], 100)  # three bits that vary, two of them one
    assert share[0] < 100
    assert carried.lines[1].get_xdata()[0] == 2  # three classes differ in two directions


def test_a_single_bit_is_drawn_and_so_is_a_code_that_never_changes():
    assert plots.redundant_bits(ALIKE[:, :1], 2).axes
    assert plots.redundant_bits(np.zeros((3, 2)), 2).axes


def test_the_bits_kept_are_those_under_the_rings():
    ax = next(ax for ax in CASES["pipeline"]().axes if ax.get_xlabel() == "level $t$")
    dark, empty, rings = (np.asarray(dots.get_offsets()) for dots in ax.collections)
    said = 1 / (1 + np.exp(-SURE_AND_DOUBTFUL[1].astype(float)))
    wanted = {(at, row) for row in range(3) for at, level in enumerate((0.1, 0.5, 0.8)) if level <= said[row]}
    assert {*map(tuple, dark)} == wanted
    assert len(dark) + len(empty) == 9
    np.testing.assert_allclose(rings, KEPT[:, ::-1])
    squares = next(ax for ax in CASES["pipeline"]().axes if ax.get_xlabel() == "3 bits kept").patches
    shades = [square.get_facecolor()[0] < 0.5 for square in squares]
    assert shades == [(at, row) in wanted for row, at in KEPT]


def test_a_pictures_logits_are_bars_and_the_level_of_one_half_is_marked():
    axes = CASES["picture_to_bits"]().axes
    bars, dots = (next(ax for ax in axes if ax.get_xlabel() == label) for label in ("logit $F_j$", "level $t$"))
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], SURE_AND_DOUBTFUL[1])
    (band,) = dots.patches
    assert band.get_x() + band.get_width() / 2 == pytest.approx(1)


def test_equal_bits_and_complements_are_dark_and_a_bit_that_never_changes_is_light():
    first, second = CASES["bit_correlations"]().axes[:2]
    shades = np.asarray(first.collections[0].get_array()).reshape(4, 4)
    np.testing.assert_allclose(np.sort(shades, axis=None), np.sort(second.collections[0].get_array(), axis=None))
    r = abs(np.corrcoef(ALIKE[:, 0], ALIKE[:, 2])[0, 1])
    wanted = np.array([[1, 1, r, 0], [1, 1, r, 0], [r, r, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(shades, wanted, atol=1e-9)  # like stands by like, what is alone comes last


def test_relevant_pictures_stand_above_the_line_and_others_below_at_their_distances():
    upper, lower = CASES["query_distances"]().axes
    bars = {(round(bar.get_x() + 0.45), bar.get_height()) for bar in upper.patches if bar.get_height()}
    assert bars == {(0, 0.5), (1, 1.0), (3, -1.0)}
    assert {round(bar.get_x() + 0.45): bar.get_height() for bar in lower.patches if bar.get_height() < 0} == {2: -1.0}


def test_methods_stand_below_each_other_by_map_and_share_the_mark_of_their_idea():
    ax = CASES["maps_by_idea"]().axes[0]
    assert read(ax.get_yticklabels()) == ["LSH", "DPSH", "HashNet"]  # from below
    marks = {line.get_label(): line for line in ax.lines}
    (pairs,) = [bars for bars in ax.containers if bars.get_label() == "pairs"]
    np.testing.assert_allclose(np.sort(pairs[0].get_xdata()), [0.6, 0.7])
    np.testing.assert_allclose(marks["random codes"].get_xdata(), [0.1, 0.1])


def test_an_idea_looks_the_same_whichever_methods_stand_there():
    maps, ideas = {"LSH": (0.3, 0.01), "DPSH": (0.6, 0.02)}, {"LSH": "no labels", "DPSH": "pairs"}

    def looks(*left_out: str) -> dict:
        shown = {name: value for name, value in maps.items() if name not in left_out}
        bars = plots.maps_by_idea(shown, ideas, {}).axes[0].containers
        return {each.get_label(): (each[0].get_color(), each[0].get_marker()) for each in bars}

    both = looks()
    assert len({*both.values()}) == 2
    for left_out, idea in (("LSH", "pairs"), ("DPSH", "no labels")):
        assert looks(left_out) == {idea: both[idea]}


def test_objectives_are_percent_above_the_bound_and_the_mean_of_seeds():
    first, second = CASES["above_bound"]().axes[0].lines
    np.testing.assert_allclose(first.get_xydata(), [[0.1, 100 * (0.85 / 0.75 - 1)], [0.2, 100 * (0.8 / 0.75 - 1)]])
    np.testing.assert_allclose(second.get_xydata(), [[1.0, 4.0]])


def test_bits_that_differ_in_a_copy_are_red_and_counted():
    copy = CODE.copy()
    copy[[0, 5]] ^= 1
    own, below = plots.hash_bits({"pHash": (CODE, copy)}, 4).axes
    assert (own.images[0].get_array() == CODE.reshape(4, 4)).all()
    shades = below.images[0].get_array()
    assert ((shades[..., 0] != shades[..., 1]).ravel() == (copy != CODE)).all()
    assert below.get_title() == "2 of 16 differ"


def test_distances_at_which_no_pair_lies_are_not_drawn_and_coins_are_the_same_line():
    drawn = CASES["pair_shares"]().axes[0].lines
    assert drawn[0].get_xdata().tolist() == [1, 2]
    assert drawn[2].get_ydata().tolist() == [0.25, 0.75, 1.0]


def test_shares_by_family_are_written_in_percent():
    (ax,) = CASES["found_by_family"]().axes
    assert [text.get_text() for text in ax.texts] == ["100", "50", "0", "20", "30", "40"]


def test_every_hash_has_a_look_of_its_own():
    from hashlib_nb.perceptual import HASHES
    from hashlib_nb.plots.perceptual import LOOKS

    assert {*LOOKS} == {each.title for each in HASHES.values()}
    assert len({look[0] for look in LOOKS.values()}) == len({look[1:] for look in LOOKS.values()}) == len(LOOKS)


def dark(ax) -> list[tuple[float, float]]:
    """Middles of the squares of bits that are kept, from the top row down."""
    squares = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_facecolor()[0] < 0.5]
    return sorted((square.get_center().tolist() for square in squares), key=lambda at: (round(at[1], 6), at[0]))


def test_a_decision_process_fills_the_mask_bit_by_bit_and_pays_at_the_end_alone():
    ax = CASES["decision_process"]().axes[0]
    np.testing.assert_allclose(dark(ax), [[2, 1], [0, 2], [2, 2]])
    assert [text for text in read(ax.texts) if "keep" in text] == ["keep bit 2, reward 0", "keep bit 0, reward 0.512"]


def test_a_lattice_has_every_mask_once_and_every_action_and_follows_one_path():
    ax = CASES["lattice"]().axes[0]
    masks = 1 + 4 + 6
    assert len([patch for patch in ax.patches if isinstance(patch, Rectangle)]) == 4 * masks
    assert len(dark(ax)) == 4 * 1 + 6 * 2
    assert len(ax.lines) == 1 * 4 + 4 * 3
    widths = np.array([line.get_linewidth() for line in ax.lines])
    assert (widths > widths.min()).sum() == 2
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    lightness = [sum(box.get_facecolor()[:3]) for box in boxes]
    assert np.argsort(lightness).tolist() == [4, 3, 1, 2, 5, 0]  # the darker the higher the reward
    assert read(ax.texts)[:6] == ["0.410", "0.520", "0.500", "0.530", "0.550", "0.480"]


def test_a_lattice_asks_for_a_reward_of_every_subset_and_for_few_bits():
    with pytest.raises(ValueError, match="rewards has 2 values; give one for each of 3 subsets"):
        plots.lattice(np.zeros(2), 3, [0, 1])
    with pytest.raises(ValueError, match="k is 30, which makes 31 masks; draw fewer bits"):
        plots.lattice(np.zeros(30), 30, [0])


def test_a_lattice_of_equal_rewards_is_drawn():
    assert len(plots.lattice(np.ones(2), 2, [1]).axes[0].lines) == 2


def test_the_clipped_objective_is_never_above_the_plain_one_and_flat_where_a_step_would_go_on():
    for ax, advantage in zip(CASES["clipped_objective"]().axes, (1, -1), strict=True):
        plain, clipped = (line.get_xydata() for line in ax.lines[:2])
        assert (clipped[:, 1] <= plain[:, 1] + 1e-12).all()
        far = clipped[:, 0] > 1.21 if advantage > 0 else clipped[:, 0] < 0.79
        assert np.ptp(clipped[far, 1]) < 1e-12
        still = ~far & (abs(plain[:, 0] - 1) > 0.22)
        np.testing.assert_allclose(clipped[still], plain[still])


def test_a_merkle_tree_marks_the_proof_of_its_leaf():
    """RFC 9162: of leaf 2 among five, its neighbor, the pair before it, and the leaf that stands alone."""
    from hashlib_nb.search import merkle

    hashes = [merkle.leaf_hash(bytes([number])) for number in range(5)]
    names = {(begin, end): merkle.root(hashes[begin:end]).hex() for begin, end in TREE}
    ax = plots.merkle_tree(5, 2, names).axes[0]
    shown = {tuple(text.get_position()): text for text in ax.texts}
    marked = [shown[tuple(place)].get_text() for place in ax.collections[1].get_offsets().tolist()]
    assert sorted(marked) == sorted(each.hex() for each in merkle.inclusion_proof(hashes, 2))
    assert len(ax.collections[0].get_offsets()) == 4
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 9


def test_pairs_within_the_radius_have_a_dot():
    left = CASES["alignment"]().axes[0]
    assert sorted(map(tuple, left.collections[0].get_offsets().tolist())) == [(0.0, 0.0), (0.2, 0.2), (0.4, 0.4)]


def test_a_workers_bars_stand_in_its_row_and_the_killed_one_is_marked_at_its_end():
    (ax,) = CASES["timeline"]().axes
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_width()) for bar in ax.patches]
    np.testing.assert_allclose(bars, [(0, 0, 2), (1, 0.5, 2), (0, 2, 2), (2, 3, 2)])
    (mark,) = ax.lines
    assert mark.get_xydata().tolist() == [[2.5, 1]]


def test_seconds_are_stacked():
    (ax,) = CASES["seconds_by_workers"]().axes
    tops = [bar.get_y() + bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(tops, [0.5, 3.0, 5.0, 9.5, 8.0, 10.5])
