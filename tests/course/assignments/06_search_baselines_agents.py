"""A half-right submission of assignment 6; what is neither wrong nor worth points is broken."""

WRONG = {
    # sorts by distance alone, and not in the order of the database
    "nearest": """\
    distances = (database != query).sum(axis=1)
    indices = len(distances) - 1 - np.argsort(distances[::-1], kind="stable")
    return indices[:n], distances[indices[:n]]
""",
    # the formula as printed: e^theta overflows
    "pair_loss": """\
    theta = u @ u.T / 2
    alike = labels.astype(int) @ labels.T.astype(int) > 0
    values = np.log(1 + np.exp(theta)) - alike * theta
    return values[~np.eye(len(u), dtype=bool)].mean()
""",
    # the price at which both cost the same, whichever leads from there on
    "break_even": """\
    if ours[0] == theirs[0]:
        return 0.0 if ours[1] < theirs[1] else None
    return max(0.0, (ours[1] - theirs[1]) / (theirs[0] - ours[0]))
""",
}
POINTS = {
    "nearest_tests": 2.0,
    "nearest_edge_tests": 0.0,
    "expected_precision_tests": 0.0,
    "expected_precision_edge_tests": 0.0,
    "turn_tests": 0.0,
    "turn_edge_tests": 0.0,
    "pair_loss_tests": 2.0,
    "pair_loss_edge_tests": 0.0,
    "break_even_tests": 2.0,
    "break_even_edge_tests": 0.0,
}
