import pytest

from utils.messages import MOST_LETTERS, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.tiff is damaged (µm, Ω, 切片)", "a.tiff is damaged (µm, Ω, 切片)"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("\ud800 \x00 \u2028", "\\ud800 \\x00 \\u2028"),
    ],
)
def test_what_cannot_be_shown_is_written_as_its_number(text, shown):
    assert one_line(text) == shown
    shown.encode()


def test_of_a_long_message_begin_and_end_are_kept():
    shown = one_line("a.tiff has class " + "x" * 10**6 + "; choose one of ['tumor']")
    assert len(shown) < MOST_LETTERS + 10
    assert shown.startswith("a.tiff has class xxx")
    assert shown.endswith("xxx; choose one of ['tumor']")
