import gzip
import json

import pytest

from data.sources.json_file import load_json, read_json
from data.sources.source import SourceError


def save(tmp_path, text, name="a.json", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def items(path):
    content = read_json(path)
    assert not isinstance(content, dict)
    return list(content)


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, 2, [3]]',
        ' \n[\t{"a":1},2 ,\r\n[3] ] \n',
        '{"features": [{"a": 1}, 2, [3]]}',
        '{"type": "FeatureCollection", "bbox": [1, {"features": [9]}], "features" : [{"a": 1}, 2, [3]], "more": 1}',
    ],
)
def test_items_of_a_list_and_of_features(tmp_path, text):
    assert items(save(tmp_path, text)) == [{"a": 1}, 2, [3]]


@pytest.mark.parametrize("text", ["[]", '{"features": []}', ' { "features":[ ] }'])
def test_an_empty_list_has_no_items(tmp_path, text):
    assert items(save(tmp_path, text)) == []


@pytest.mark.parametrize("content", [{}, {"type": "Feature", "x": [1, 2]}, {"features": None}, {"a": {"features": []}}])
def test_an_object_without_a_list_of_features_is_given_whole(tmp_path, content):
    assert read_json(save(tmp_path, json.dumps(content, indent=1))) == content
    assert load_json(save(tmp_path, json.dumps(content))) == content


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_a_mark_at_the_beginning_and_wide_letters_are_understood(tmp_path, encoding):
    assert items(save(tmp_path, '[{"name": "Gömöri"}]', encoding=encoding)) == [{"name": "Gömöri"}]


def test_gzipped_files_are_read_whatever_their_ending(tmp_path):
    (tmp_path / "a.geojson").write_bytes(gzip.compress(b'{"features": [1, 2]}'))
    assert items(tmp_path / "a.geojson") == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}',
        '[{"a": 1},',
        '[{"a": 1} {}]',
        '{"features": [1',
        '[{"a": nul}]',
        '{"a" 1}',
        '{"a": 1',
        '{"a": 1} {}',
        '[{"a": 1}] trailing',
        '{"features": [1]} trailing',
        '{"features": [1], "a"}',
        '{"features": [1]',
    ],
)
def test_a_file_that_was_cut_or_damaged_is_refused(tmp_path, text):
    with pytest.raises(SourceError, match="is no readable JSON"):
        list(read_json(save(tmp_path, text)))


@pytest.mark.parametrize("text", ["", "  ", "5", '"text"', "id,encoding"])
def test_what_is_neither_object_nor_list_is_refused(tmp_path, text):
    with pytest.raises(SourceError, match="holds no JSON object and no list"):
        read_json(save(tmp_path, text))


def test_damage_in_the_compression_and_foreign_bytes_are_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"[1, 2, 3]")[:-9])
    with pytest.raises(SourceError, match="is damaged"):
        read_json(tmp_path / "a.gz")
    (tmp_path / "b.json").write_bytes(b'[{"name": "\xff\xfe\xfa"}]')
    with pytest.raises(SourceError, match="is no text"):
        read_json(tmp_path / "b.json")


def test_a_second_list_of_features_is_refused(tmp_path):
    with pytest.raises(SourceError, match="two lists of features"):
        list(read_json(save(tmp_path, '{"features": [1], "features": [2]}')))


def test_what_grows_beyond_all_outlines_is_refused_unread(tmp_path):
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(b"[" + b" " * 2**25 + b"]"))
    with pytest.raises(SourceError, match="become more than 16777216"):
        read_json(tmp_path / "a.geojson.gz")


def test_brackets_without_end_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is no readable JSON"):
        list(read_json(save(tmp_path, "[" + "[" * 100_000)))


def test_a_list_is_no_object(tmp_path):
    with pytest.raises(SourceError, match="holds no JSON object"):
        load_json(save(tmp_path, "[1]"))
