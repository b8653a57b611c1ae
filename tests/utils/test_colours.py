from utils.colours import CLASS_COLOURS, class_colour, class_palette


def test_every_value_of_a_mask_has_a_colour_and_no_class_looks_like_background_or_ignored():
    palette = class_palette()
    assert len(palette) == 256
    assert palette[0] == (0, 0, 0)
    assert not {palette[0], palette[255]} & set(palette[1:255])


def test_seven_classes_have_seven_colours_and_the_eighth_begins_anew():
    assert len(set(CLASS_COLOURS)) == 7
    assert [class_colour(number) for number in range(1, 8)] == list(CLASS_COLOURS)
    assert class_colour(8) == class_colour(1)
