import pytest
import torch

from zoo.registration.axis_order import reordered, restored


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_restored_undoes_the_order_of_axes_and_components(order):
    field = torch.randn(1, 3, 4, 5, 6)
    inside = reordered(field, order)[:, list(order)]
    assert torch.equal(restored(inside, order), field)


def test_axis_k_of_the_result_is_the_axis_of_the_order():
    assert reordered(torch.zeros(1, 2, 4, 5, 6), (1, 2, 0)).shape == (1, 2, 5, 6, 4)
