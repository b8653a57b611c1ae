import pytest

from data.sources.source import SourceError
from data.sources.xml_file import number, read_xml, vertices


def save(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mark_at_the_beginning_and_empty_lines_are_passed_over(tmp_path, encoding):
    assert read_xml(save(tmp_path, '<A b="ö"/>\n', encoding)).get("b") == "ö"
    assert read_xml(save(tmp_path, '\n <?xml version="1.0"?><A/>')).tag == "A"


def test_a_document_type_and_so_every_entity_is_refused(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><a>&y;</a>'
    outside = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    for text in (bomb, outside, "<!DOCTYPE html><a/>"):
        with pytest.raises(SourceError, match="declares a document type"):
            read_xml(save(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["", "<A>", "<A></B>", "id,encoding", '<?xml version="1.0" encoding="no-such"?><A/>', "<A>&x;</A>"]
)
def test_a_damaged_file_is_refused(tmp_path, text):
    with pytest.raises(SourceError, match="is no readable XML"):
        read_xml(save(tmp_path, text))


def test_numbers_with_a_decimal_comma_are_read():
    assert [number(text) for text in ("12,5", "12.5", " -3 ", "1e3")] == [12.5, 12.5, -3.0, 1000.0]


@pytest.mark.parametrize("text", [None, "", "x", "1,234.5", "1 2", "1_0", "nan", "1e999"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(SourceError, match="which is no number"):
        number(text)


def test_vertices_are_the_children_whatever_their_name(tmp_path):
    root = read_xml(save(tmp_path, '<A><P X="1" Y="2"/><Q Y="4,5" X="3"/></A>'))
    assert vertices(root) == [(1, 2), (3, 4.5)]
    assert vertices(None) == []
