"""A half-right submission of assignment 2; what is neither wrong nor worth points is broken."""

WRONG = {
    # the gradient of the sum and not of the mean, so that the step grows with the number of pictures
    "gradient_step": """\
    error = torch.sigmoid(features @ weights + bias) - targets
    return weights - lr * features.T @ error, bias - lr * error.sum(dim=0)
""",
    # 0 at exactly 0
    "to_codes": """\
    return (logits > 0).astype(np.uint8)
""",
    # a difference of uint8, in which 0 - 1 is 255
    "bit_report": """\
    ones = targets.mean(axis=0)
    return 1 - np.abs(codes - targets).mean(axis=0), np.maximum(ones, 1 - ones)
""",
}
POINTS = {
    "bce_tests": 0.0,
    "bce_edge_tests": 0.0,
    "gradient_step_tests": 1.0,
    "gradient_step_mean_tests": 0.0,
    "gradient_step_kept_tests": 1.0,
    "to_codes_tests": 1.0,
    "to_codes_edge_tests": 0.0,
    "bit_report_tests": 1.0,
    "bit_report_majority_tests": 1.0,
    "bit_report_type_tests": 0.0,
    "cross_fit_tests": 0.0,
    "cross_fit_edge_tests": 0.0,
}
SLIPS = [
    # the formula as printed: infinite for a confident mistake
    (
        "bce",
        "bce_edge_tests",
        """\
    chances = torch.sigmoid(logits)
    return -(targets * torch.log(chances) + (1 - targets) * torch.log(1 - chances)).sum()
""",
    ),
    # the sign that eq. 3.12 prints: up instead of down
    (
        "gradient_step",
        "gradient_step_tests",
        """\
    error = targets - torch.sigmoid(features @ weights + bias)
    return weights - lr * features.T @ error / len(features), bias - lr * error.mean(dim=0)
""",
    ),
    # divides the weights' gradient by n, and not the biases'
    (
        "gradient_step",
        "gradient_step_mean_tests",
        """\
    error = torch.sigmoid(features @ weights + bias) - targets
    return weights - lr * features.T @ error / len(features), bias - lr * error.sum(dim=0)
""",
    ),
    # changes what it was given
    (
        "gradient_step",
        "gradient_step_kept_tests",
        """\
    error = torch.sigmoid(features @ weights + bias) - targets
    weights -= lr * features.T @ error / len(features)
    bias -= lr * error.mean(dim=0)
    return weights, bias
""",
    ),
    # truth values instead of numbers
    (
        "to_codes",
        "to_codes_tests",
        """\
    return logits >= 0
""",
    ),
    # the sigmoid, which rounds to one half
    (
        "to_codes",
        "to_codes_edge_tests",
        """\
    return (1 / (1 + np.exp(-logits)) >= 0.5).astype(np.uint8)
""",
    ),
    # the sign of 0 is 0, which becomes half a bit and then none
    (
        "to_codes",
        "to_codes_edge_tests",
        """\
    return ((np.sign(logits) + 1) / 2).astype(np.uint8)
""",
    ),
    # counts the ones that are right, and no zeros
    (
        "bit_report",
        "bit_report_tests",
        """\
    ones = targets.mean(axis=0)
    return (codes & targets).mean(axis=0), np.maximum(ones, 1 - ones)
""",
    ),
    # how often the more frequent *code* comes
    (
        "bit_report",
        "bit_report_majority_tests",
        """\
    ones = codes.mean(axis=0)
    return (codes == targets).mean(axis=0), np.maximum(ones, 1 - ones)
""",
    ),
    # the share of ones, also where zeros are more frequent
    (
        "bit_report",
        "bit_report_majority_tests",
        """\
    return (codes == targets).mean(axis=0), targets.mean(axis=0)
""",
    ),
    # takes folds for numbered from 0 on
    (
        "cross_fit",
        "cross_fit_edge_tests",
        """\
    codes = np.zeros_like(targets)
    for f in range(fold.max() + 1):
        encode = fit(features[fold != f], targets[fold != f])
        codes[fold == f] = encode(features[fold == f])
    return codes
""",
    ),
]
