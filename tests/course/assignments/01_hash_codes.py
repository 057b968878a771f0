"""A half-right submission of assignment 1; what is neither wrong nor worth points is broken."""

WRONG = {
    # keeps the type, in which 2 * 0 - 1 is 255
    "objective": """\
    z = 2 * bits - 1
    n, k = z.shape
    return np.sum((z @ z.T - k * s) ** 2.0) / (n * k) ** 2
""",
    # right, but with the n x n matrix that was to be avoided
    "gradient": """\
    k = z.shape[1]
    return 4 * (z @ (z.T @ z) - k * codes.similarity(labels) @ z)
""",
    # counts the codes that are shared, and not the label sets that share them
    "code_report": """\
    owners = {}
    for code, label_set in zip(bits.tolist(), labels.tolist()):
        owners.setdefault(tuple(code), set()).add(tuple(label_set))
    sets = set().union(*owners.values())
    per_set = sum(len(having) for having in owners.values()) / len(sets)
    return len(owners), per_set, sum(len(having) > 1 for having in owners.values())
""",
}
POINTS = {
    "similarity_tests": 0.0,
    "similarity_edge_tests": 0.0,
    "objective_tests": 1.0,
    "objective_scale_tests": 1.0,
    "objective_type_tests": 0.0,
    "gradient_tests": 2.0,
    "gradient_edge_tests": 0.0,
    "binarize_tests": 0.0,
    "binarize_edge_tests": 0.0,
    "code_report_tests": 1.0,
    "code_report_per_set_tests": 1.0,
    "code_report_shared_tests": 0.0,
}
SLIPS = [
    # compares no codes of different lengths
    (
        "objective",
        "objective_scale_tests",
        """\
    z = 2.0 * bits - 1
    return np.sum((z @ z.T - z.shape[1] * s) ** 2)
""",
    ),
    # has each pair once
    (
        "objective",
        "objective_scale_tests",
        """\
    z = 2.0 * bits - 1
    n, k = z.shape
    return np.sum(np.triu(z @ z.T - k * s) ** 2) / (n * k) ** 2
""",
    ),
    # a type that holds -1, but not the inner product of 200 bits
    (
        "objective",
        "objective_type_tests",
        """\
    z = 2 * bits.astype(np.int8) - 1
    n, k = z.shape
    return np.sum((z @ z.T - k * s) ** 2.0) / (n * k) ** 2
""",
    ),
    # the sign of 0 is 0, which becomes half a bit and then none
    (
        "binarize",
        "binarize_edge_tests",
        """\
    bits = (np.sign(z) + 1) / 2
    return bits.astype(np.uint8), np.sum((np.abs(z) - 1) ** 2)
""",
    ),
    # different numbers instead of different rows
    (
        "code_report",
        "code_report_tests",
        """\
    owners = {}
    for code, label_set in zip(bits.tolist(), labels.tolist()):
        owners.setdefault(tuple(code), set()).add(tuple(label_set))
    sets = set().union(*owners.values())
    per_set = sum(len(having) for having in owners.values()) / len(sets)
    sharing = set().union(*(having for having in owners.values() if len(having) > 1))
    return len(np.unique(bits)), per_set, len(sharing)
""",
    ),
    # all codes over all label sets, as if no code had two
    (
        "code_report",
        "code_report_per_set_tests",
        """\
    owners = {}
    for code, label_set in zip(bits.tolist(), labels.tolist()):
        owners.setdefault(tuple(code), set()).add(tuple(label_set))
    sets = set().union(*owners.values())
    sharing = set().union(*(having for having in owners.values() if len(having) > 1))
    return len(owners), len(owners) / len(sets), len(sharing)
""",
    ),
    # a mean over pictures, in which large label sets count more
    (
        "code_report",
        "code_report_per_set_tests",
        """\
    owners, codes_of = {}, {}
    for code, label_set in zip(bits.tolist(), labels.tolist()):
        owners.setdefault(tuple(code), set()).add(tuple(label_set))
        codes_of.setdefault(tuple(label_set), set()).add(tuple(code))
    per_set = np.mean([len(codes_of[tuple(label_set)]) for label_set in labels.tolist()])
    sharing = set().union(*(having for having in owners.values() if len(having) > 1))
    return len(owners), per_set, len(sharing)
""",
    ),
]
