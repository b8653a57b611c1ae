import pytest

from benchmarks import page
from benchmarks.figures import Figure, save

MARKED = "# Title\n\n<!-- figures -->\nold\n<!-- end -->\n\nkept\n"


def test_block_takes_the_place_of_what_lies_between_its_marks():
    new = page.filled(MARKED, {"figures": "new"})
    assert new == MARKED.replace("old", "new")
    assert page.filled(new, {"figures": "new"}) == new


def test_mark_that_is_missing_is_told():
    with pytest.raises(AssertionError, match="engines"):
        page.filled(MARKED, {"engines": "new"})


def test_page_of_the_docs_has_a_place_for_every_block(tmp_path):
    copy = tmp_path / "performance.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    for name in page.PICTURES:
        (tmp_path / f"performance_{name}.png").write_bytes(b"")
    save(tmp_path, "tiling", [Figure("a", 2, "<1")], [])
    page.main(tmp_path, copy)
    text = copy.read_text(encoding="utf-8")
    assert "| a | 2 | <1 | **no** |" in text
    assert "](pictures/performance_growth.png)" in text
    assert len(list((tmp_path / "pictures").iterdir())) == len(page.PICTURES)
