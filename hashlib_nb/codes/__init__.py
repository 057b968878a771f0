"""Stage 1, labels -> target codes: the thesis' Algorithm 1 with its exact gradient, a lower bound, a discrete finish.

Two images are similar if they share a label: S = 2 min(Y Y^T, 1) - 1, for labels Y in {0,1}^{n x m}. The codes Z in
{-1,+1}^{n x k} should have inner products that say the same, so stage 1 minimizes

    f(Z) = || Z Z^T - k S ||_F^2  +  lambda || |Z| - 1 ||_F^2 ,     Z = tanh(W) while it is relaxed,

by Adam on W, and then takes the sign. The thesis sums the gradient block by block because S is n x n. It never has to:

    gradient of the pair term = 4 (Z (Z^T Z) - k S Z),

Z^T Z is k x k, and rows of S that belong to equal label sets are equal, so S Z needs only the u distinct label sets. A
step costs O(n k^2 + u^2 k), memory is O(n k + u^2).

    python -m hashlib_nb.codes --dataset fashion-mini --bits 64        # see --help
"""

from hashlib_nb.codes.command import Args, main, summarize
from hashlib_nb.codes.inference import LITERAL, PRESETS, TargetCodes, discrete_finish, infer_codes, load_or_infer
from hashlib_nb.codes.labels import LabelSets, similarity
from hashlib_nb.codes.objective import lower_bound, pair_gradient, pair_objective

__all__ = [
    "LITERAL", "PRESETS", "Args", "LabelSets", "TargetCodes", "discrete_finish", "infer_codes", "load_or_infer",
    "lower_bound", "main", "pair_gradient", "pair_objective", "similarity", "summarize",
]  # fmt: skip
