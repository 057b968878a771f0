"""Thermometer bits: logits asked at several levels, what they say about a picture's class, and decided queries.

Output j of stage 2 is fitted to a dichotomy T_j of the classes, so that sigma(F_j(x)) estimates P(T_j = 1 | x). Asked
at one half alone, every output says the same as soon as one class has more than half of the posterior: the code is
that class' name. Asked at several levels it says how sure the network is: candidate (j, t) is 1[F_j >= log(t / (1-t))].

| name            | what                                                                                            |
|-----------------|-------------------------------------------------------------------------------------------------|
| thermometer bit | candidate (j, t) of logits; with all levels in order the field's thermometer code                 |
| class posterior | softmax over c of beta sum_j log P(T_jc given F_j), beta fitted to rows it has not seen            |
| decided query   | its code is replaced by the code of its likeliest class; database codes stay                      |
| ceiling         | ranking by P(relevant) of the posteriors of query and picture, real-valued: no code               |

Kin: several thresholds a projection are double-bit quantization (Kong and Li, AAAI 2012) and Manhattan hashing (Kong,
Li and Guo, SIGIR 2012); a code map for the query and another for the database, Neyshabur et al. (NIPS 2013) and Gordo
and Perronnin (CVPR 2011). No torch, and no label of a query or database picture.

    python -m hashlib_nb thermometer --logits logits.npy --out thermometer.npz        # see --help
"""

from hashlib_nb.thermometer.ceilings import ceiling, ceiling_bracket  # noqa: I001 (several names a line: short)
from hashlib_nb.thermometer.classes import (
    CLASS_ARRAYS, ClassCodes, decide, decided_classes, decided_labels, halves, label_posteriors, label_posteriors_of,
    logits_of, posteriors, predict_classes, unseen,
)  # fmt: skip
from hashlib_nb.thermometer.levels import (
    HALF, LEVELS, bits, check_levels, check_meaning, code, distinct, level_of, meaning, meanings, quantiles,
    read_meaning, remark,
)  # fmt: skip

__all__ = [
    "CLASS_ARRAYS", "HALF", "LEVELS", "ClassCodes", "bits", "ceiling", "ceiling_bracket", "check_levels",
    "check_meaning", "code", "decide", "decided_classes", "decided_labels", "distinct", "halves",
    "label_posteriors", "label_posteriors_of", "level_of", "logits_of", "meaning", "meanings", "posteriors",
    "predict_classes", "quantiles", "read_meaning", "remark", "unseen",
]  # fmt: skip
