"""A half-right submission of assignment 2; what is neither wrong nor worth points is broken."""

WRONG = {
    # the formula as printed: infinite for a confident mistake
    "bce": """\
    chances = torch.sigmoid(logits)
    return -(targets * torch.log(chances) + (1 - targets) * torch.log(1 - chances)).sum()
""",
    # takes folds for numbered from 0 on
    "cross_fit": """\
    codes = np.zeros_like(targets)
    for f in range(fold.max() + 1):
        encode = fit(features[fold != f], targets[fold != f])
        codes[fold == f] = encode(features[fold == f])
    return codes
""",
}
POINTS = {
    "bce_tests": 2.0,
    "bce_edge_tests": 0.0,
    "gradient_step_tests": 0.0,
    "to_codes_tests": 2.0,
    "bit_report_tests": 0.0,
    "cross_fit_tests": 2.0,
    "cross_fit_edge_tests": 0.0,
}
