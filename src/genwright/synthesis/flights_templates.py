"""Questions about the flights of 2013 (`databases.flights_database`), in four disjoint splits.

The bank is `flights_templates.toml`: edit it there. Use it to teach a model to query this database,
and as an example of a bank for a database of your own.

Method and splits: see `sql_templates`.
"""

from pathlib import Path
from typing import Any

from genwright.synthesis.sql_templates import TemplateQuestions, open_bank
from genwright.synthesis.templates import TemplateBank


def flights_bank(database: str | Path) -> TemplateBank:
    """Return the templates for the flights database."""
    return open_bank("flights", database)


def flights_questions(
    split: str, n: int, seed: int, *, database: str | Path
) -> list[dict[str, Any]]:
    """Return n checked questions of one split: question, sql, template, phrasing, structure, split.

    Args:
        split: `"train"`, `"parameters"`, `"phrasings"` or `"structures"`.
        n: how many.
        seed: the same seed gives the same questions.
        database: where `flights_database` wrote the file.
    """
    source = TemplateQuestions(database=str(database), bank="flights", split=split, n=n, seed=seed)
    return source.rows()
