import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from model.same_padding import with_fixed_padding


@pytest.mark.parametrize("kernel", [1, 3, 5, (3, 5)])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_fixed_padding_gives_the_same_on_sides_of_whole_strides(kernel, stride, dilation):
    torch.manual_seed(0)
    network = nn.Sequential(Conv2dSame(4, 6, kernel, stride, 0, dilation, 2))
    fixed = with_fixed_padding(network)
    for shape in [(8, 16), (32, 20), (4, 4)]:
        images = torch.randn(2, 4, *shape)
        torch.testing.assert_close(fixed(images), network(images), atol=0, rtol=0)


def test_the_network_itself_stays_as_it_is():
    network = nn.Sequential(Conv2dSame(1, 1, 3, 2, bias=False))
    fixed = with_fixed_padding(network)
    assert isinstance(network[0], Conv2dSame)
    assert not any(isinstance(module, Conv2dSame) for module in fixed.modules())
    assert fixed[0][1].bias is None
    assert with_fixed_padding(fixed) is fixed
