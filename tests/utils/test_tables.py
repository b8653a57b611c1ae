import pytest

from utils.tables import TableError, read_table, write_table


def read(tmp_path, text, columns=("id",)):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, list(columns)).to_dict("records")


@pytest.mark.parametrize(
    "text", ["001", "1e5", "NA", "nan", "None", "null", "1.0", "-0", "True", "2020-01-01", "µ", ""]
)
def test_a_cell_stays_the_text_that_stands_there(tmp_path, text):
    assert read(tmp_path, f"id,other\n{text},x\n") == [{"id": text, "other": "x"}]


def test_a_cell_that_was_cut_off_is_not_taken_for_an_empty_one(tmp_path):
    with pytest.raises(TableError, match="line 3 has 1 cells, its header 2"):
        read(tmp_path, "id,encoding\nb,1 2\na")
    assert read(tmp_path, "id,encoding\na,\n") == [{"id": "a", "encoding": ""}]


def test_the_index_is_that_of_the_lines_where_rows_begin(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('id,x\n\na,"1\n2"\n\nb,3\n')
    assert list(read_table(path, ["id"]).index) == [3, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,x\na,1\n\u0441,2\n".encode("cp1251"), "line 3 has the byte 0xf1, which is not UTF-8"),
        (b"id,x,x\na,1,2\n", r"has the columns \['x'\] more than once"),
        (b"id,x\na,1\0\n", "line 2 holds a byte of zero"),
        (b'id,x\na,"1" 2\n', "line 2: ',' expected after '\"'"),
        (b"id;x\na;1\n", "cells must be parted by commas, not by ';'"),
    ],
)
def test_what_could_be_misread_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(TableError, match=message):
        read(tmp_path, content)


def test_cells_may_be_as_long_as_the_run_lengths_of_a_slide(tmp_path):
    assert len(read(tmp_path, f"id,x\na,{'1 2 ' * 50_000}\n")[0]["x"]) == 200_000


def test_columns_without_a_name_are_left_out(tmp_path):
    assert read(tmp_path, ",id,,\n0,a,,\n") == [{"id": "a"}]


@pytest.mark.parametrize("text", ["id,encoding\na,1 2,more\n", "id,encoding\na,1\nb,1 2,more\n"])
def test_a_row_with_too_many_cells_is_refused_and_never_shifts_the_columns(tmp_path, text):
    with pytest.raises(TableError, match=r"table\.csv"):
        read(tmp_path, text)


def test_quotes_commas_and_a_byte_order_mark_are_understood(tmp_path):
    assert read(tmp_path, '\ufeffid,note\na,"x, ""y"""\n') == [{"id": "a", "note": 'x, "y"'}]


def test_windows_line_ends_are_understood(tmp_path):
    assert read(tmp_path, "id,x\r\na,1\r\n") == [{"id": "a", "x": "1"}]


def test_a_table_without_rows_is_empty(tmp_path):
    assert read(tmp_path, "id\n") == []


@pytest.mark.parametrize("text", ["", b"\xff\xfe\x80\x81", 'id\n"open'])
def test_what_is_no_csv_is_an_error_naming_the_file(tmp_path, text):
    with pytest.raises(TableError, match=r"table\.csv"):
        read(tmp_path, text)


def test_a_missing_file_and_a_folder_are_errors_naming_it(tmp_path):
    with pytest.raises(TableError, match=r"gone\.csv is missing"):
        read_table(tmp_path / "gone.csv", ["id"])
    with pytest.raises(TableError, match=tmp_path.name):
        read_table(tmp_path, ["id"])


def test_a_missing_column_is_named_beside_those_there_are(tmp_path):
    with pytest.raises(TableError, match=r"table\.csv has no column \['rle'\]; it has \['id', 'encoding'\]"):
        read(tmp_path, "id,encoding\na,1 2\n", ["id", "rle"])


def test_reading_inverts_writing(tmp_path):
    rows = [{"id": "001", "n": 12_345_678, "f": 0.25}, {"id": 'a,"b"', "n": 0, "f": 1 / 3}]
    write_table(tmp_path / "t.csv", rows, ["id", "n", "f"])
    assert read_table(tmp_path / "t.csv", ["id"]).to_dict("records") == [
        {"id": "001", "n": "12345678", "f": "0.25"},
        {"id": 'a,"b"', "n": "0", "f": "0.333333"},
    ]


def test_a_name_of_bytes_that_are_no_text_is_written_with_escapes(tmp_path):
    write_table(tmp_path / "t.csv", [{"file": "a\udcff.png"}], ["file"])
    assert (tmp_path / "t.csv").read_text() == "file\na\\udcff.png\n"


def test_no_rows_leave_the_header_alone(tmp_path):
    write_table(tmp_path / "t.csv", [], ["id", "message"])
    assert (tmp_path / "t.csv").read_text() == "id,message\n"
