"""Every figure of the course, a file a chapter: arrays in, a matplotlib figure out that seaborn has drawn."""
# isort: skip_file

from hashlib_nb.plots.agents import exchanges, leaders, time_to_level
from hashlib_nb.plots.base import METHODS, RC, save_fig, save_png, style
from hashlib_nb.plots.baselines import above_bound, bit_correlations, maps_by_idea, quantization, query_distances
from hashlib_nb.plots.codes import class_codes, class_distances, convergence, hamming_cube, similarity_matrices
from hashlib_nb.plots.comparison import anytime, chosen_shares, differences, optimality_gap, reward_and_test
from hashlib_nb.plots.decisions import clipped_objective, decision_process, lattice
from hashlib_nb.plots.drawings import banner, picture_to_bits, pipeline
from hashlib_nb.plots.encoder import (
    bit_accuracy, coded_pictures, distance_histogram, redundant_bits, thermometer, training_curves,
)  # fmt: skip
from hashlib_nb.plots.evaluation import (
    losses, map_by_length, precision_at_n, precision_radius2, precision_recall, tied_cards, unseen_classes,
)  # fmt: skip
from hashlib_nb.plots.perceptual import found_by_family, hash_bits, pair_shares, roc, shares_learned, steps
from hashlib_nb.plots.pictures import neighbors, search_answer, top_matches
from hashlib_nb.plots.scaling import seconds_by_workers, timeline
from hashlib_nb.plots.selection import (
    episode, kept_bits, kept_candidates, learning_curve, policy_entropy, reward_correlations,
)  # fmt: skip
from hashlib_nb.plots.tuning import importances, slices
from hashlib_nb.plots.video import alignment, found_by_radius, merkle_tree, titled_pictures

__all__ = [
    "METHODS", "RC", "above_bound", "alignment", "anytime", "banner", "bit_accuracy", "bit_correlations",
    "chosen_shares", "class_codes", "class_distances", "clipped_objective", "coded_pictures", "convergence",
    "decision_process", "differences", "distance_histogram", "episode", "exchanges", "found_by_family",
    "found_by_radius", "hamming_cube", "hash_bits", "importances", "kept_bits", "kept_candidates", "lattice",
    "leaders", "learning_curve", "losses", "map_by_length", "maps_by_idea", "merkle_tree", "neighbors",
    "optimality_gap", "pair_shares", "picture_to_bits", "pipeline", "policy_entropy", "precision_at_n",
    "precision_radius2", "precision_recall", "quantization", "query_distances", "redundant_bits", "reward_and_test",
    "reward_correlations", "roc", "save_fig", "save_png", "search_answer", "seconds_by_workers", "shares_learned",
    "similarity_matrices", "slices", "steps", "style", "thermometer", "tied_cards", "time_to_level", "timeline",
    "titled_pictures", "top_matches", "training_curves", "unseen_classes",
]  # fmt: skip
