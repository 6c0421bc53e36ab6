"""A task file for a database somebody brings: what `genwright improve --db my.sqlite` writes.

Questions and checked queries come from the database's own schema (`schema_templates`); questions
with known answers that the user adds are asked too, as a group of their own, and never trained on.
"""

import json
import os
from pathlib import Path

from genwright.core import MissingFile, TaskFileError, UserError
from genwright.core.task_file import read_jsonl
from genwright.synthesis.schema import Schema, read_schema
from genwright.verifiers.sql_query import dialect_of, run_query

TASK = """\
# Ask {file} in English: a question in, one SQL query out, checked by running it.
# Written by `genwright improve --db`; edit it as you like.
name = "{name}"
seed = 0
workers = 24

[data]
database = {path}

[generator]
method = "local_lm"
model = "smollm2-135m-instruct"
temperature = 0.7
max_new_tokens = 80
system = '''
You write one {engine} query that answers the question. Answer with SQL only. Tables:
{schema}'''

[prompts]
template = "{{question}}"
group = "split"

[prompts.source]
method = "held_out_questions"
database = "{{database}}"
splits = ["parameters", "phrasings"]
n = 24
seed = 1
{questions}{steering}
[verifier]
method = "sql_equivalence"
database = "{{database}}"
gold = "{{sql}}"

[metrics]
"valid SQL" = {{ method = "sql_runs", database = "{{database}}" }}

[strategy]
method = "majority_vote"
k = 16
key = {{ method = "sql_result", database = "{{database}}", empty = false }}

[budget]
draws = 16
new_tokens = 400

[improve]
completion = "{{sql}}"
rounds = 1
round_prompts = 48

[improve.data]
source = {{ method = "template_questions", database = "{{database}}", n = 2400 }}

[improve.learner]
method = "supervised"
steps = 200
learning_rate = 2e-3

[improve.round_learner]
method = "supervised"
steps = 20
learning_rate = 3e-4
warmup = 4
"""

STEERING = """
[steering]
method = "sql_grammar"
database = "{database}"
"""


def write_task_file(database: Path, folder: Path, *, questions: Path | None = None) -> Path:
    """Write `FOLDER/NAME.toml` for a SQLite or DuckDB file, and return its path.

    Args:
        database: the file; the task is named for it.
        folder: where the task file goes; made if need be.
        questions: a JSONL file of rows with `question` and `sql`, both texts.

    Raises:
        MissingFile: no such database.
        UserError: it has no tables, the task file exists, or a known answer does not run.
    """
    if not database.is_file():
        raise MissingFile(f"no database {str(database)!r}.")
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in database.stem)
    target = folder / f"{name}.toml"
    if target.exists():
        raise UserError(
            f"{target} is there already: run `genwright improve {target}`, or remove it first."
        )
    schema = read_schema(database)
    if not schema.tables:
        raise UserError(f"{database} has no table with two rows or more to ask about.")
    dialect = dialect_of(database)
    if questions is not None:
        _check_questions(database, questions)
    folder.mkdir(parents=True, exist_ok=True)
    beside = _from(folder, database)
    yours = _from(folder, questions) if questions else ""
    text = TASK.format(
        file=database.name,
        name=name,
        path=json.dumps(beside),
        engine={"sqlite": "SQLite", "duckdb": "DuckDB"}[dialect],
        schema=describe_schema(schema),
        questions='questions = "{questions}"\n' if questions else "",
        steering=STEERING if dialect == "sqlite" else "",
    )
    if questions:
        line = f"database = {json.dumps(beside)}\n"
        text = text.replace(line, f"{line}questions = {json.dumps(yours)}\n", 1)
    target.write_text(text, encoding="utf-8")
    return target


def describe_schema(schema: Schema) -> str:
    """Return the tables with their columns, a line each, as a prompt shows them."""
    return "\n".join(
        f"{table.written}({', '.join(column.written for column in table.columns)})"
        for table in schema.tables
    )


def _from(folder: Path, file: Path) -> str:
    """Return a path that stays true when the project moves: relative, unless it is far away."""
    relative = os.path.relpath(file.resolve(), folder.resolve())
    return str(file.resolve()) if relative.startswith(os.path.join("..", "..")) else relative


def _check_questions(database: Path, questions: Path) -> None:
    """Run every known answer once, so that a wrong one is found before anything is paid for."""
    for number, row in enumerate(read_jsonl(questions), 1):
        if not isinstance(row.get("question"), str) or not isinstance(row.get("sql"), str):
            raise TaskFileError(
                f"{questions.name}:{number}: a row needs the texts 'question' and 'sql', "
                f"got the fields {sorted(row)}."
            )
        found = run_query(database, row["sql"])
        if found.error:
            raise UserError(f"{questions.name}:{number}: its query fails: {found.error}")
