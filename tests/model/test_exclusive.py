import pytest
import torch
from torch import nn

from model.exclusive import exclusive, make_exclusive


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_the_sigmoid_of_the_log_odds_is_the_softmax_with_a_background(classes):
    logits = 4 * torch.randn(2, classes, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)[:, 1:]
    torch.testing.assert_close(exclusive(logits).sigmoid(), expected)


def test_one_class_keeps_its_logits():
    logits = torch.tensor([[[-50.0, 0.0, 70.0]]])
    assert torch.equal(exclusive(logits), logits)


def test_the_log_odds_of_sure_classes_stay_finite():
    logits = torch.tensor([300.0, -200.0]).reshape(1, 2, 1)
    torch.testing.assert_close(exclusive(logits), torch.tensor([300.0, -500.0]).reshape(1, 2, 1))


def test_a_network_keeps_the_names_of_its_parameters():
    network = nn.Sequential(nn.Conv3d(1, 2, 1))
    image, names = torch.rand(1, 1, 2, 2, 2), list(network.state_dict())
    before = network(image)
    assert list(make_exclusive(network).state_dict()) == names
    torch.testing.assert_close(network(image), exclusive(before))
