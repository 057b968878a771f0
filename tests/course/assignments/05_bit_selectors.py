"""A half-right submission of assignment 5; what is neither wrong nor worth points is broken."""

WRONG = {
    # takes the last of equally good bits
    "greedy": """\
    kept = []
    for _ in range(p):
        best, best_reward = None, -np.inf
        for bit in range(k):
            if bit not in kept:
                reward = reward_of([*kept, bit])
                if reward >= best_reward:
                    best, best_reward = bit, reward
        kept.append(best)
    return kept
""",
    # divides by n instead of n - 1
    "paired_interval": """\
    differences = np.asarray(ours) - np.asarray(theirs)
    mean, n = differences.mean(), len(differences)
    half = stats.t.ppf(0.975, n - 1) * differences.std() / np.sqrt(n)
    verdict = "above" if mean - half > 0 else "below" if mean + half < 0 else "around"
    return mean, mean - half, mean + half, verdict
""",
}
POINTS = {
    "bit_statistics_tests": 2.0,
    "bit_statistics_edge_tests": 1.0,
    "greedy_tests": 2.0,
    "greedy_edge_tests": 0.0,
    "best_swap_tests": 0.0,
    "best_swap_edge_tests": 0.0,
    "optimality_gap_tests": 0.0,
    "optimality_gap_edge_tests": 0.0,
    "paired_interval_tests": 0.0,
    "paired_interval_edge_tests": 1.0,
}
