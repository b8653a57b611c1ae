import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.report import Figures, Link, Listing, Pictures, Table, Text, format_value, write_report


def png(height, width, noisy=False):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(".png", image if noisy else image * 0 + 90)[1].tobytes()


def page(tmp_path, *sections, **options):
    path = tmp_path / "report.html"
    write_report(path, options.pop("title", "Run"), sections, **options)
    return path.read_text(encoding="utf-8")


def embedded(html):
    found = re.findall(r'src="data:(image/\w+);base64,([^"]+)"', html)
    return [(kind, cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), 1)) for kind, text in found]


def test_every_kind_of_section_is_shown(tmp_path):
    html = page(
        tmp_path,
        Figures("Numbers", [("Dice", 0.91234)]),
        Table("Scores", ["id", "Dice"], [["a", 0.5]], "measured whole"),
        Pictures("Slides", [("slide a", png(10, 20))]),
        Text("Words", ["first", "second"]),
        Listing("Config", "A: 1\nB: 2"),
        subtitle="on a CPU",
    )
    for text in (
        "Numbers",
        "0.912",
        "Scores",
        "0.500",
        "measured whole",
        "slide a",
        "second",
        "A: 1\nB: 2",
        "on a CPU",
    ):
        assert text in html


def test_text_is_escaped_everywhere(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    html = page(
        tmp_path,
        Figures(evil, [(evil, evil)]),
        Table(evil, [evil], [[evil]], evil),
        Pictures(evil, [(evil, png(4, 4))]),
        Text(evil, [evil]),
        Listing(evil, evil),
        title=evil,
        subtitle=evil,
    )
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") >= 10


def test_page_loads_nothing_from_anywhere(tmp_path):
    html = page(tmp_path, Pictures("Slides", [("a", png(4, 4))]), Text("Words", ["see http://example.org"]))
    assert re.findall(r"""(?:src|href)=["'](?!data:image/|#)""", html) == []
    assert re.findall(r"@import|url\(|<link|<iframe|fetch\(|XMLHttpRequest", html) == []
    assert "default-src 'none'" in html


def test_a_small_picture_is_embedded_as_it_is(tmp_path):
    ((kind, image),) = embedded(page(tmp_path, Pictures("Slides", [("a", png(30, 40))])))
    assert (kind, image.shape) == ("image/png", (30, 40, 3))


def test_a_large_picture_is_shrunk(tmp_path):
    path = tmp_path / "slide.png"
    path.write_bytes(png(600, 300, noisy=True))
    ((kind, image),) = embedded(page(tmp_path, Pictures("Slides", [("a", path)]), max_side_px=200))
    assert (kind, image.shape) == ("image/jpeg", (200, 100, 3))


def test_a_missing_picture_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lost\.png is missing.*'slide a'"):
        page(tmp_path, Pictures("Slides", [("slide a", tmp_path / "lost.png")]))
    assert not (tmp_path / "report.html").exists()


def test_a_broken_picture_names_the_file(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        page(tmp_path, Pictures("Slides", [("a", tmp_path / "broken.png")]))


def test_numbers_are_set_to_the_right_and_carry_their_order(tmp_path):
    html = page(tmp_path, Table("Scores", ["id", "px"], [["a", 1234], ["b", None], ["c", float("inf")]]))
    assert '<td>a</td><td class="number" data-order="1234.0">1,234</td>' in html
    assert '<td>b</td><td class="number">\u2013</td>' in html
    assert 'data-order="Infinity">\u221e</td>' in html


def test_a_row_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'Scores' has 2 columns and a row of 1"):
        page(tmp_path, Table("Scores", ["id", "Dice"], [["a"]]))


def test_a_link_leads_to_a_file_beside_the_page(tmp_path):
    html = page(tmp_path, Table("Files", ["mask"], [[Link("a <b>.tiff", Path("masks") / "a <b>#1.tiff")], [""]]))
    assert '<td><a href="masks/a%20%3Cb%3E%231.tiff">a &lt;b&gt;.tiff</a></td>' in html


def test_an_empty_table_and_no_sections_are_fine(tmp_path):
    assert "<tbody>" in page(tmp_path, Table("Scores", ["id"], []))
    assert "<h1>Run</h1>" in page(tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.83412, "0.834"),
        (np.float32(0.5), "0.500"),
        (12.345, "12.3"),
        (1234567, "1,234,567"),
        (np.int64(7), "7"),
        (0.00004, "4.0e-05"),
        (0.0, "0.000"),
        (float("nan"), "\u2013"),
        (None, "\u2013"),
        (-np.inf, "-\u221e"),
        (True, "yes"),
        (np.bool_(False), "no"),
        ("text", "text"),
    ],
)
def test_values_are_shown_as_a_reader_wants_them(value, shown):
    assert format_value(value) == shown


def test_writing_twice_gives_the_same_bytes(tmp_path):
    section = Figures("Numbers", [("Dice", 0.9)])
    assert page(tmp_path, section) == page(tmp_path, section)
