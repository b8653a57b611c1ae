from dataclasses import replace
from types import SimpleNamespace

import pytest

from config import load_cfg
from data.sources.intensity import IntensityRule, build_intensity
from test_net import with_card
from tests.cards import CARD


@pytest.mark.parametrize(
    ("intensity", "rule"),
    [
        (("window", -160.0, 240.0), IntensityRule("window", (-160.0, 240.0))),
        (("percentiles", 1.0, 99.0), IntensityRule("percentiles", (1.0, 99.0))),
        (("range",), IntensityRule("range")),
        ((), IntensityRule()),
    ],
)
def test_volumes_are_predicted_by_the_rule_of_intensities_that_the_weights_carry(intensity, rule):
    cfg = load_cfg(options=["INPUT.INTENSITY", "window", "INPUT.WINDOW", "[0, 1]"])
    assert build_intensity(with_card(cfg, SimpleNamespace(card=replace(CARD, intensity=intensity)))) == rule
