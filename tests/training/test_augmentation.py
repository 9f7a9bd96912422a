"""Random views of a pair agree with the affine sampling of torch."""

import numpy as np
import torch
import torch.nn.functional as F

from zoo.training.augmentation import RandomView


def draw(seed=0, shape=(9, 9, 9), noise=0.05):
    return RandomView.draw(np.random.default_rng(seed), shape, noise)


def turned(image, view):
    return image.permute(0, *[1 + k for k in view.order]).flip([1 + k for k in view.flips])


def test_without_noise_both_images_and_their_labels_are_permuted_and_flipped_alike():
    image = torch.rand(1, 9, 9, 9)
    labels = torch.randint(0, 9, (1, 9, 9, 9), dtype=torch.int32)
    for seed in range(10):
        view = draw(seed, noise=0)
        for side in (0, 1):
            assert torch.allclose(view.image(image, side), turned(image, view), atol=1e-5)
            assert torch.equal(view.labels(labels, side), turned(labels, view))


def test_every_axis_order_and_flip_of_a_cube_is_drawn():
    views = [draw(seed) for seed in range(400)]
    assert len({view.order for view in views}) == 6
    assert len({view.flips for view in views}) == 8


def test_axes_of_unequal_length_keep_their_places():
    orders = {draw(seed, (9, 7, 9)).order for seed in range(40)}
    assert orders == {(0, 1, 2), (2, 1, 0)}
    assert draw(1, (5, 7, 9)).order == (0, 1, 2)


def test_each_image_gets_its_own_affine_map_with_the_given_noise():
    matrices = torch.stack([torch.stack(draw(seed).matrices) for seed in range(500)])
    noise = matrices - torch.eye(3, 4)
    assert not torch.equal(noise[:, 0], noise[:, 1])
    assert abs(float(noise.std()) - 0.05) < 0.002
    assert abs(float(noise.mean())) < 0.002
    correlation = torch.corrcoef(noise.flatten(2).transpose(0, 1).flatten(1))[0, 1]
    assert abs(float(correlation)) < 0.05


def test_a_view_equals_what_torch_samples_on_its_affine_grid():
    image = torch.rand(1, 8, 10, 12)
    for seed in range(5):
        view = draw(seed, (8, 10, 12))
        plain = turned(image, view)[None]
        for side in (0, 1):
            # torch wants its components in the reverse order of the axes
            matrix = view.matrices[side][[2, 1, 0]][:, [2, 1, 0, 3]]
            grid = F.affine_grid(matrix[None], plain.shape, align_corners=True)
            expected = F.grid_sample(plain, grid, padding_mode="border", align_corners=True)
            assert torch.allclose(view.image(image, side), expected[0], atol=1e-4)


def test_labels_follow_their_image():
    x = torch.arange(12.0).expand(1, 12, 12, 12)
    view = draw(3, (12, 12, 12))
    labels = view.labels(x.int(), 0).float()
    assert (labels - view.image(x, 0)).abs().max() <= 0.5 + 1e-4
