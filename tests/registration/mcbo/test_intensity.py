"""The intensities that the refinement compares, and the length of its steps."""

import torch

from zoo.registration.mcbo.intensity import step_gain, unit_intensity
from zoo.solvers.fluid import GAIN, GENTLE_GAIN

CT = torch.linspace(-1000, 1500, 20**3).view(20, 20, 20)
MR = torch.linspace(0, 800, 20**3).view(20, 20, 20)


def test_the_steps_between_two_ct_images_are_shorter():
    assert step_gain(torch.stack([CT, CT])) == GENTLE_GAIN < GAIN
    assert step_gain(torch.stack([CT, MR])) == step_gain(torch.stack([MR, MR])) == GAIN


def test_ct_is_clipped_to_hounsfield_units_and_other_images_at_their_brightest_voxels():
    assert unit_intensity(CT)[0, 0, 0] == 0
    assert unit_intensity(torch.where(CT > 990, CT, 0.0)).max() == 1
    bright = MR.clone()
    bright[-1, -1, -1] = 1e6
    assert abs(float(unit_intensity(bright)[10, 0, 0]) - float(unit_intensity(MR)[10, 0, 0])) < 0.01
