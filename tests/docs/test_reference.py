from config.defaults import _C
from config.load import all_keys
from docs.make_reference import DEFAULTS, REFERENCE, Option, main, make_page, read_options


def defaults() -> list[Option]:
    return read_options(DEFAULTS.read_text(encoding="utf-8"))


def test_reference_is_up_to_date():
    assert REFERENCE.read_text(encoding="utf-8") == make_page(defaults()), "run python docs/make_reference.py"


def test_every_option_is_in_the_reference():
    assert [option.key for option in defaults()] == [key for key, _ in all_keys(_C)]


def test_every_option_has_a_comment():
    assert [option.key for option in defaults() if len(option.effect) < 10] == []


def test_every_line_of_the_reference_shows_the_default_that_the_config_has():
    values = dict(all_keys(_C))
    assert {option.key: eval(option.default) for option in defaults()} == values


def test_comment_of_a_wrapped_line_belongs_to_its_option():
    source = '_C.A = (\n    "text"  # what it does\n)\n# ------------ place\n_C.N = Cn()\n_C.N.B = 1e-3  # a rate\n'
    assert read_options(source) == [
        Option("A", "'text'", "what it does", "Run"),
        Option("N.B", "0.001", "a rate", "Place"),
    ]


def test_marks_of_html_and_tables_are_escaped():
    row = make_page([Option("A", "1", "x_<size> | y", "Run")]).splitlines()[-1]
    assert row == "| `A` | `1` | x_&lt;size&gt; \\| y |"


def test_check_tells_a_stale_file_and_leaves_it_alone(tmp_path, monkeypatch):
    stale = tmp_path / "reference.md"
    stale.write_text("old", encoding="utf-8")
    monkeypatch.setattr("docs.make_reference.REFERENCE", stale)
    assert main(["--check"]) == 1
    assert stale.read_text(encoding="utf-8") == "old"
    assert main([]) == 0
    assert main(["--check"]) == 0
