import pytest

from benchmarks.study_table import FOLDER, load_table
from config import ConfigError

TABLE = """
options: {MODEL.ARCHITECTURE: FPN, SOLVER.EPOCHS: 4}
rows:
  plain:
    plain: {}
  test:
    tta: {TEST.TTA: flips}
    tuned: {SOLVER.TUNE: [low]}
  loss:
    dice: {SOLVER.LOSS_FUNCTION_NAME: dice_coef_loss}
    dice-tta: {SOLVER.LOSS_FUNCTION_NAME: dice_coef_loss, TEST.TTA: flips}
    twice: {SOLVER.LOSS_FUNCTION_NAME: dice_coef_loss, images: 2}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "table.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_row_of_a_shipped_table_can_work(name):
    table = load_table(name, {})
    assert len(table.rows) > 1
    assert table.base.options == {}


def test_rows_that_differ_at_the_test_alone_share_their_networks(write):
    table = load_table(write(TABLE), {})
    trainers = {row.name: table.trainer_of(row).name for row in table.rows}
    assert trainers == {
        "plain": "plain",
        "tta": "plain",
        "tuned": "plain",
        "dice": "dice",
        "dice-tta": "dice",
        "twice": "twice",
    }


def test_a_plan_holds_the_base_and_whoever_trains_for_the_named_rows(write):
    table = load_table(write(TABLE), {})
    assert [row.name for row in table.plan(["dice-tta"])] == ["plain", "dice", "dice-tta"]
    assert [row.name for row in table.plan([])] == [row.name for row in table.rows]
    with pytest.raises(ConfigError, match=r"\['tat'\]; choose from \['plain', 'tta'"):
        table.plan(["tat"])


def test_a_row_overrules_the_command_line_and_that_the_table(write):
    table = load_table(write(TABLE), {"SOLVER.EPOCHS": "9", "TEST.TTA": "dihedral"})
    found = {row.name: table.options_of(row) for row in table.rows}
    assert found["plain"] == {"MODEL.ARCHITECTURE": "FPN", "SOLVER.EPOCHS": "9", "TEST.TTA": "dihedral"}
    assert found["tta"]["TEST.TTA"] == "flips"


def test_a_named_set_of_augmentation_takes_the_place_of_all_its_keys(write):
    table = load_table(
        write(TABLE + "    seed: {AUGMENTATION.SET: seed, AUGMENTATION.FLIP: 1}\n"), {"AUGMENTATION.HSV": "0.9"}
    )
    options = table.options_of(table.rows[-1])
    assert {key: options[key] for key in options if key.startswith("AUGMENTATION")} == {
        "AUGMENTATION.SET": "seed",
        "AUGMENTATION.FLIP": "1",
    }
    assert table.options_of(table.base)["AUGMENTATION.HSV"] == "0.9"


def test_all_mistakes_of_all_rows_are_told_at_once(write):
    text = TABLE.replace("TTA: flips}\n    tuned", "TAT: flips}\n    tuned").replace("images: 2", "images: 0")
    with pytest.raises(ConfigError) as caught:
        load_table(write(text.replace("dice-tta:", "plain:")), {})
    assert len(caught.value.mistakes) == 3
    assert "row plain is there twice" in str(caught.value)
    assert "row tta: " in str(caught.value)
    assert "row twice: images is 0.0" in str(caught.value)


def test_rows_of_pairs_with_other_patches_must_say_how_much_they_show(write):
    text = TABLE.replace("{MODEL", "{DATASETS.LAYOUT: pairs, MODEL").replace(
        "TEST.TTA: flips}\n    tuned", "%s}\n    tuned"
    )
    load_table(write(text % "TILES.REDUCTION: 2.0, images: 4"), {})
    with pytest.raises(ConfigError, match="row tta: patches of pairs are not counted"):
        load_table(write(text % "TILES.REDUCTION: 2.0"), {})


def test_a_table_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(ConfigError, match=r"choose one of \['drone', 'kidney'\]"):
        load_table("kindey", {})
