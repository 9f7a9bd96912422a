"""The registry of figures: their names in words, their format, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping

WHEN = ("before", "after")

WORDS = {
    "dice": ("Dice", "overlap of the labels, 0 to 1", "{:.3f}"),
    "hd95_mm": ("HD95, mm", "distance of the labels' surfaces, 95th percentile", "{:.2f}"),
    "tre_mm": ("Landmark error, mm", "mean", "{:.2f}"),
    "tre_mm_median": ("Landmark error, mm", "median", "{:.2f}"),
    "tre_mm_p95": ("Landmark error, mm", "95th percentile", "{:.2f}"),
    "tre_mm_hardest30": ("Landmark error, mm", "mean of the worst 30 %", "{:.2f}"),
    "similarity": ("Similarity", "local correlation squared, 0 to 1", "{:.3f}"),
    "nmi": ("Mutual information", "normalised, 1 to 2", "{:.3f}"),
    "overlap_percent": ("Shared field of view, %", "of the fixed body", "{:.1f}"),
}
"""Figures with a before and an after: name, what it is, how it is written."""

MAP_WORDS = {
    "folding_percent": ("Folded voxels, %", "{:.3g}"),
    "sd_log_jacobian": ("Spread of the volume change, SD log J", "{:.3f}"),
    "deformation_mm_mean": ("Deformation, mean, mm", "{:.2f}"),
    "deformation_mm_p99": ("Deformation, 99th percentile, mm", "{:.2f}"),
    "inverse_consistency_mm": ("Inverse consistency, mean, mm", "{:.3f}"),
    "inverse_consistency_mm_p95": ("Inverse consistency, 95th percentile, mm", "{:.3f}"),
}
"""Figures of the map alone."""

BETTER: Mapping[str, int] = {
    "dice_after": 1,
    "hd95_mm_after": -1,
    "tre_mm_after": -1,
    "tre_mm_hardest30_after": -1,
    "similarity_after": 1,
    "sd_log_jacobian": -1,
    "folding_percent": -1,
}
"""The figures that are compared: 1 where more is better, -1 where less is."""

RANKED = ("tre_mm_after", "dice_after", "hd95_mm_after", "sd_log_jacobian")
"""The figures that count in the ranking, those of Learn2Reg: similarity is no proof of accuracy."""

PREFERRED = ("dice_after", "tre_mm_after", "similarity_after")
"""What tells most of a registration, of what the data allow."""
