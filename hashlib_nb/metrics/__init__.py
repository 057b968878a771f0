"""How retrieval is measured (chapter 4): mAP, P@N, P@H<=r, precision-recall, exact under ties. No torch, no file."""

from hashlib_nb.metrics.curves import (
    PrecisionRecallCurve,
    RadiusPrecision,
    precision_at_n,
    precision_recall_curve,
    precision_within_radius,
)
from hashlib_nb.metrics.ranking import (
    DENOMINATORS,
    TIES,
    average_precision,
    average_precision_from_histograms,
    map_of_flipped,
    map_of_masks,
    mean_average_precision,
)
from hashlib_nb.metrics.reports import evaluate, report
from hashlib_nb.metrics.scores import Levels, relevant

__all__ = [
    "DENOMINATORS", "TIES", "Levels", "PrecisionRecallCurve", "RadiusPrecision", "average_precision",
    "average_precision_from_histograms", "evaluate", "map_of_flipped", "map_of_masks", "mean_average_precision",
    "precision_at_n", "precision_recall_curve", "precision_within_radius", "relevant", "report",
]  # fmt: skip
