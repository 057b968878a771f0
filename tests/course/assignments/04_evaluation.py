"""A half-right submission of assignment 4; what is neither wrong nor worth points is broken."""

WRONG = {
    # ends at the last distance that occurs
    "histograms": """\
    return np.bincount(distances), np.bincount(distances[relevant])
""",
    # the items before a relevant one are drawn as if it were not taken out
    "expected_ap": """\
    total, before, hits_before = 0.0, 0, 0
    for n, p in zip(counts, hits):
        for i in range(1, n + 1):
            total += p / n * (hits_before + 1 + (i - 1) * p / n) / (before + i)
        before, hits_before = before + n, hits_before + p
    return total / hits_before if hits_before else np.nan
""",
    # lets items of different distances change places
    "bracket": """\
    n, p = counts.sum(), hits.sum()
    rankings = np.array([[0] * (n - p) + [1] * p, [1] * p + [0] * (n - p)])
    return tuple(metrics.average_precision_from_histograms(np.ones_like(rankings), rankings))
""",
}
POINTS = {
    "hamming_distances_tests": 0.0,
    "hamming_distances_edge_tests": 0.0,
    "histograms_tests": 1.0,
    "histograms_edge_tests": 0.0,
    "average_precision_tests": 0.0,
    "average_precision_edge_tests": 0.0,
    "expected_ap_tests": 0.0,
    "expected_ap_edge_tests": 1.0,
    "bracket_tests": 1.0,
    "bracket_distance_tests": 0.0,
    "bracket_order_tests": 1.0,
}
SLIPS = [
    # the products stay uint8, and 256 is 0 there
    (
        "hamming_distances",
        "hamming_distances_edge_tests",
        """\
    return query @ (1 - database).T + (1 - query) @ database.T
""",
    ),
    # 0 / 0 for an item that is alone at its distance
    (
        "expected_ap",
        "expected_ap_edge_tests",
        """\
    total, before, hits_before = 0.0, 0, 0
    with np.errstate(invalid="ignore"):
        for n, p in zip(counts, hits):
            for i in range(1, n + 1):
                total += p / n * (hits_before + 1 + (i - 1) * (p - 1) / (n - 1)) / (before + i)
            before, hits_before = before + n, hits_before + p
    return total / hits_before if hits_before else np.nan
""",
    ),
    # counts what is not relevant
    (
        "histograms",
        "histograms_tests",
        """\
    counts = np.bincount(distances, minlength=k + 1)
    return counts, counts - np.bincount(distances[relevant], minlength=k + 1)
""",
    ),
    # k distances instead of k + 1
    (
        "histograms",
        "histograms_edge_tests",
        """\
    counts = np.array([(distances == d).sum() for d in range(k)])
    return counts, np.array([(distances[relevant] == d).sum() for d in range(k)])
""",
    ),
    # the best order turned round, which puts the farthest in front
    (
        "bracket",
        "bracket_distance_tests",
        """\
    best = np.array([relevant for n, p in zip(counts, hits) for relevant in [1] * p + [0] * (n - p)])
    rankings = np.array([best[::-1], best])
    return tuple(metrics.average_precision_from_histograms(np.ones_like(rankings), rankings))
""",
    ),
    # the best first
    (
        "bracket",
        "bracket_order_tests",
        """\
    worst = metrics.average_precision_from_histograms(counts, hits, ties="pessimistic")
    return metrics.average_precision_from_histograms(counts, hits, ties="optimistic"), worst
""",
    ),
]
