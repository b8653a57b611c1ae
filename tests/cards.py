"""A card with a value in every place."""

from model.card import ModelCard

CARD = ModelCard(
    architecture="UneXt18",
    encoder_name="resnet18",
    in_channels=3,
    classes=("a", "b, \u00e4"),
    mean=(0.1, 0.2, 0.3),
    std=(1 / 3, 0.5, 0.25),
    reduction=4.0,
    spacing_um=2.0004,
    threshold=107 / 255,
    fold=2,
    epoch=7,
    valid_dice=0.8,
    validation_ids=("001", "1e5"),
    config="A: 1\n",
)
