"""A half-right submission of assignment 1; what is neither wrong nor worth points is broken."""

WRONG = {
    # right, but with the n x n matrix that was to be avoided
    "gradient": """\
    k = z.shape[1]
    return 4 * (z @ (z.T @ z) - k * codes.similarity(labels) @ z)
""",
    # the sign of 0 is 0, which becomes half a bit and then none
    "binarize": """\
    bits = (np.sign(z) + 1) / 2
    return bits.astype(np.uint8), np.sum((np.abs(z) - 1) ** 2)
""",
}
POINTS = {
    "similarity_tests": 2.0,
    "similarity_edge_tests": 1.0,
    "objective_tests": 0.0,
    "gradient_tests": 2.0,
    "gradient_edge_tests": 0.0,
    "binarize_tests": 2.0,
    "binarize_edge_tests": 0.0,
    "code_report_tests": 0.0,
}
