"""One colour a class, the same in every product: those of Okabe and Ito, which nearly all eyes tell apart."""

CLASS_COLOURS = (
    (0, 158, 115),
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
)
GREY = (128, 128, 128)


def class_colour(number: int) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of class 1..254; after seven they begin anew."""
    return CLASS_COLOURS[(number - 1) % len(CLASS_COLOURS)]


def colour_name(colour: tuple[int, int, int]) -> str:
    """A colour as '#rrggbb'."""
    return "#" + bytes(colour).hex()


def class_palette() -> list[tuple[int, int, int]]:
    """The colours of the 256 values of a mask: black background, the classes, grey for what is ignored."""
    return [(0, 0, 0), *(class_colour(number) for number in range(1, 255)), GREY]
