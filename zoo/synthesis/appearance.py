"""The images of a synthetic subject: contrasts of its tissues, and the effects of a scanner."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.synthesis.random_numbers import Random
from zoo.synthesis.regions import AIR, FLUID, GAS, GREY, HOUNSFIELD, LUNG, WHITE


def render_contrasts(
    random: Random, labels: Tensor, tissues: Tensor, contrasts: int, is_ct: bool
) -> Tensor:
    """Return M noiseless contrasts [M, X, Y, Z] of a subject; the first is CT if `is_ct`.

    `labels` [X, Y, Z] are its structures, `tissues` [L] their tissues.
    """
    shape = labels.shape
    fine = random.smooth(2, shape, min(shape) * random.uniform(0.03, 0.08))
    flat = labels.long()
    spreads = torch.tensor(list(HOUNSFIELD.values()), device=random.device)[tissues]
    out = []
    for m in range(contrasts):
        units = spreads[:, 0] + spreads[:, 1] * random.randn(len(tissues))
        if m == 0 and is_ct:
            values, texture = (units.clamp(-1000, 1000) + 1000) / 2000, 0.015
        else:
            values, texture = random.rand(len(tissues)), 0.06
            dark = (tissues == AIR) | (tissues == GAS) | (tissues == LUNG)
            values = torch.where(dark, 0.05 * values, 0.1 + 0.9 * values)
            if bool((tissues == FLUID).any()):
                values = _similar_within_tissues(random, values, tissues)
        image = values[flat] + texture * fine[m % 2] * (flat > 0)
        out.append(image)
    taps = gaussian_taps(random.uniform(0.4, 0.9), 5)
    return separable_filter(torch.stack(out)[None], [taps] * 3, "replicate")[0]


def _similar_within_tissues(random: Random, values: Tensor, tissues: Tensor) -> Tensor:
    """Return MR values [L] in which fluid, grey and white matter share most of their value."""
    own = random.uniform(0, 0.3)
    for kind in (FLUID, GREY, WHITE):
        common = 0.15 + 0.85 * random.uniform(0, 1)
        if kind == FLUID and random.uniform(0, 1) < 0.5:
            common = 0.1 * random.uniform(0, 1)
        values = torch.where(tissues == kind, (1 - own) * common + own * values, values)
    return values


def scan(random: Random, image: Tensor, is_ct: bool) -> Tensor:
    """Add noise and a bias field to a noiseless image [X, Y, Z]; return it scaled to [0, 1]."""
    noise = random.randn(*image.shape)
    if is_ct:
        return (image + random.uniform(0.002, 0.02) * noise).clamp(0, 1)
    bias = torch.exp(random.uniform(0, 0.25) * random.smooth(1, image.shape, min(image.shape) / 2))
    image = image * bias[0] + random.uniform(0, 0.03) * noise
    if random.uniform(0, 1) < 0.5:  # without background noise
        image = image * (image > 0.06)
    top = torch.quantile(image.flatten()[::97], 0.99).clamp_min(0.05)
    return (image / top).clamp(0, 1)
