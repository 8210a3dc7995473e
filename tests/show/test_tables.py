import io
import math
import re

import pytest

from dlx.show import tables


def parse(source: str) -> list[list[str]]:
    """The cells of a GitHub table, rule left out, by walking over its characters."""
    rows = []
    for line in source.splitlines():
        cells, cell, characters = [], "", iter(line)
        for character in characters:
            if character == "\\":
                cell += next(characters)
            elif character == "|":
                cells, cell = [*cells, cell], ""
            else:
                cell += character
        assert cell == ""
        rows.append([cell.strip().replace("<br>", "\n") for cell in cells[1:]])
    assert all(re.fullmatch(r"-{2,}[-:]", cell) for cell in rows[1])
    return rows[:1] + rows[2:]


def test_markdown_is_read_back_as_it_was_written():
    header = ["row", "a|b", "error %"]
    rows = [
        ["x|y", "back\\slash", "1.31 ± 0.04"],
        ["\\|", "two\nlines", ""],
        ["||", "\\\\|\\", "12.0"],
        ["**bold**", "[link](a_b)", "–"],
    ]
    assert parse(tables.markdown(header, rows)) == [header, *rows]


def test_markdown_lines_up_and_puts_numbers_to_the_right():
    lines = tables.markdown(["row", "error"], [["dbn", "1.2"], ["shallow", "10.25"]]).splitlines()
    assert lines == [
        "| row     | error |",
        "| ------- | ----: |",
        "| dbn     |   1.2 |",
        "| shallow | 10.25 |",
    ]


def test_a_table_of_short_cells_still_has_a_rule_of_three():
    assert tables.markdown(["a"], [["x"]]).splitlines() == ["| a   |", "| --- |", "| x   |"]
    assert tables.markdown(["n"], [["7"]]).splitlines() == ["|   n |", "| --: |", "|   7 |"]


@pytest.mark.parametrize("show", [tables.markdown, lambda *table: tables.terminal("", *table)])
def test_tables_refuse_a_row_of_another_length(show):
    with pytest.raises(ValueError, match="argument"):
        show(["a", "b"], [["1"]])


def test_terminal_shows_every_character_away_from_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    verdict = "as the paper says [bold]" * 20
    tables.terminal("A [title]", ["row", "verdict"], [["dbn", verdict], ["deep", "short"]])
    out = capsys.readouterr().out
    assert verdict in out
    assert "A [title]" in out
    assert len({len(line) for line in out.splitlines()[1:]}) == 1


def test_terminal_keeps_the_order_of_rows_and_columns_and_the_side_of_numbers(capsys):
    tables.terminal("t", ["row", "error"], [["dbn", "1.2"], ["shallow", "10.25"]])
    cells = [[cell for cell in re.split("[│┃]", line)[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in cells if row] == [
        [" row     ", " error "],
        [" dbn     ", "   1.2 "],
        [" shallow ", " 10.25 "],
    ]


class Narrow(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_table_is_wrapped_to_the_width_of_a_terminal(monkeypatch):
    stream = Narrow()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    word = "".join(chr(ord("a") + i % 26) for i in range(100))
    tables.terminal("t", ["row", "verdict"], [["dbn", word]])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert max(map(len, lines)) == 40
    assert "".join(re.sub(r"[^a-z]", "", line.split("│")[2]) for line in lines if line.count("│") == 3) == word


FEW = [1.27, 1.31, 1.38]
MANY = [*FEW, 1.30, 1.25, 1.34]


@pytest.mark.parametrize(
    ("values", "low", "high", "bounds", "text"),
    [
        ([], None, None, (0, 100), "–"),
        ([math.nan, math.inf], None, None, (0, 100), "–"),
        ([74.1], None, None, (0, 100), "74.10"),
        ([74.1, 75.206], -93.6, 242.9, (0, 100), "74.10, 75.21"),
        ([75.206, 74.1], 70.0, 80.0, (0, 100), "75.21, 74.10"),
        (FEW, 1.27, 1.35, (0, 100), "1.32 ± 0.04"),
        (FEW, 0.0, 2.64, (0, 100), "1.32 ± 1.32"),
        (FEW, -0.01, 2.65, (0, 100), "1.27, 1.31, 1.38"),
        (FEW, -0.01, 2.65, (-math.inf, math.inf), "1.32 ± 1.33"),
        ([98.0, 99.0, 99.5], 97.0, 100.5, (0, 100), "98.00, 99.00, 99.50"),
        ([98.0, 99.0, 99.5], 97.0, 100.0, (0, 100), "98.83 ± 1.50"),
        (MANY[:5], -0.01, 2.61, (0, 100), "1.27, 1.31, 1.38, 1.30, 1.25"),
        (MANY, -0.01, 2.61, (0, 100), "1.31 ± 1.31"),
        (MANY[:5], None, None, (0, 100), "1.27, 1.31, 1.38, 1.30, 1.25"),
        (MANY[:5], math.nan, math.nan, (0, 100), "1.27, 1.31, 1.38, 1.30, 1.25"),
        (MANY, None, None, (0, 100), "1.31"),
        ([*FEW, math.nan], 1.2, 1.44, (0, 100), "1.32 ± 0.12"),
        ([1.0, math.nan, 2.0], 1.2, 1.44, (0, 100), "1.00, 2.00"),
        ([-0.001], None, None, (0, 100), "0.00"),
        ([4510.0] * 5, 4510.0, 4510.0, (-math.inf, math.inf), "4510"),
        ([0.25] * 5, 0.25, 0.25, (0, 100), "0.25"),
        ([7.0, 7.0], None, None, (-math.inf, math.inf), "7"),
        ([-84.25], None, None, (-math.inf, math.inf), "-84.25"),
    ],
)
def test_an_estimate_shows_an_interval_only_where_it_says_something(values, low, high, bounds, text):
    assert tables.estimate(values, low, high, bounds=bounds) == text
    assert tables.shows_interval(values, low, high, bounds) == ("±" in text)
