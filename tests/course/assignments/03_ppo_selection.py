"""A half-right submission of assignment 3; what is neither wrong nor worth points is broken."""

WRONG = {
    # takes the NaN out of the sum, but not out of the gradient
    "masked_entropy": """\
    return -(log_probabilities.exp() * log_probabilities).nansum(dim=-1)
""",
    # lets an advantage leak into the episode before
    "advantages": """\
    following = [*values[1:], last_value]
    result, running = np.zeros(len(rewards)), 0.0
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * (1 - terminated[t]) * following[t] - values[t]
        running = delta + gamma * lam * running
        result[t] = running
    return result
""",
    # clips on both sides, without the minimum that makes it one-sided
    "clipped_loss": """\
    ratio = (log_probs - old_log_probs).exp()
    return -(ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
""",
}
POINTS = {
    "step_tests": 0.0,
    "step_edge_tests": 0.0,
    "masked_log_probabilities_tests": 0.0,
    "masked_log_probabilities_edge_tests": 0.0,
    "masked_entropy_tests": 2.0,
    "masked_entropy_gradient_tests": 0.0,
    "advantages_tests": 2.0,
    "advantages_edge_tests": 0.0,
    "clipped_loss_tests": 2.0,
    "clipped_loss_edge_tests": 0.0,
}
