"""A half-right submission of assignment 4; what is neither wrong nor worth points is broken."""

WRONG = {
    # the products stay uint8, and 256 is 0 there
    "hamming_distances": """\
    return query @ (1 - database).T + (1 - query) @ database.T
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
}
POINTS = {
    "hamming_distances_tests": 2.0,
    "hamming_distances_edge_tests": 0.0,
    "histograms_tests": 0.0,
    "average_precision_tests": 2.0,
    "average_precision_edge_tests": 2.0,
    "expected_ap_tests": 0.0,
    "expected_ap_edge_tests": 0.0,
    "bracket_tests": 0.0,
}
