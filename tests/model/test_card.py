from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from config import load_cfg
from model.card import build_card, decode_card, encode_card
from tests.cards import CARD

PATH = Path("weights/fold0.onnx")


@pytest.mark.parametrize("card", [CARD, replace(CARD, threshold=None, spacing_um=None, validation_ids=())])
def test_a_card_comes_back_from_the_metadata_of_a_file(card):
    assert decode_card(encode_card(card), PATH) == card


def test_the_metadata_is_one_entry_of_text():
    ((name, text),) = encode_card(CARD).items()
    assert (name, type(text)) == ("card", str)


def test_entries_of_later_versions_are_passed_over():
    (text,) = encode_card(CARD).values()
    assert decode_card({"card": text.replace("{", '{"later": 1, ', 1), "other": "x"}, PATH) == CARD


@pytest.mark.parametrize("metadata", [{}, {"card": "{"}, {"card": "[1]"}, {"card": '{"format": "other 3"}'}])
def test_what_holds_no_card_of_ours_is_refused_naming_the_file(metadata):
    with pytest.raises(ValueError, match=r"fold0\.onnx"):
        decode_card(metadata, PATH)


def test_the_card_of_a_config_says_all_that_prediction_needs():
    cfg = load_cfg(options=["DATASETS.CLASSES", "['x', 'y']", "TILES.REDUCTION", "8", "MODEL.ARCHITECTURE", "FPN"])
    card = build_card(cfg, [0.1, 0.2, 0.3], [1, 1, 1], 4.0)
    assert card.classes == ("x", "y")
    assert (card.architecture, card.reduction, card.spacing_um) == ("FPN", 8.0, 4.0)
    assert "REDUCTION: 8.0" in card.config
    assert build_card(load_cfg(options=["TILES.SPACING_UM", "2"]), [], []).reduction == 0


def test_the_card_is_json_of_plain_values():
    values = asdict(CARD)
    values |= values.pop("network")
    assert all(isinstance(value, (str, int, float, tuple, type(None))) for value in values.values())


def test_the_same_training_elsewhere_has_the_same_card():
    def card(**options):
        words = [word for key, value in options.items() for word in (key.replace("__", "."), str(value))]
        return build_card(load_cfg("", words), [0.5] * 3, [0.1] * 3)

    assert card() == card(RUN_NAME="a", OUTPUT_DIR="elsewhere", SOLVER__NUM_WORKERS=7, SOLVER__CACHE="disk")
    assert card() != card(SEED=7)
    assert yaml.safe_load(card(SEED=7).config)["SEED"] == 7


def test_the_card_of_a_volume_s_network_says_its_scale_by_axis_and_its_rule_of_intensities():
    def card(*options):
        return build_card(load_cfg(options=["MODEL.IN_CHANNELS", "1", *options]), [0.5], [0.5])

    made = card("TILES.REDUCTIONS", "[1, 2, 2]", "INPUT.INTENSITY", "window", "INPUT.WINDOW", "[-160, 240]")
    assert (made.reduction, made.reductions, made.intensity) == (0.0, (1.0, 2.0, 2.0), ("window", -160.0, 240.0))
    assert decode_card(encode_card(made), PATH) == made
    sized = card("TILES.SPACINGS_UM", "[0, 1500, 1500]", "TILES.REDUCTIONS", "[1, 2, 2]", "INPUT.INTENSITY", "range")
    assert (sized.reductions, sized.spacings_um, sized.intensity) == ((), (0.0, 1500.0, 1500.0), ("range",))
    assert card("TILES.SIDES", "[0, 256, 256]").sides == (0, 256, 256)
    assert card().intensity == ()
