"""What was tuned out of fold as a table."""

from pathlib import Path

from data.tuning import Rules
from utils.report import Section, Table
from utils.tables import write_table

NOTE = (
    "Dice is that of the cases which chose, before their masks are brought to full resolution. Where there is a line "
    "'all but' a fold, the scores of that fold are made with it."
)


def write_tuning(folder: Path, rules: Rules) -> list[Section]:
    """Write tuning.csv; returns what the report shows of it."""
    rows = rules.rows()
    columns = list(rows[0])
    write_table(folder / "tuning.csv", rows, columns)
    return [Table("Tuned out of fold", columns, [[row[column] for column in columns] for row in rows], NOTE)]
