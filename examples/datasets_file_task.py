"""Prompts from a Parquet file that the library `datasets` reads, in a task file.

pip install 'genwright[lm,data]'
python examples/datasets_file_task.py
"""

import tempfile
from pathlib import Path

import datasets

from genwright.core import solve
from genwright.core.task_file import TaskFile

TASK = """
name = "capitals"

[data]
questions = "questions.parquet"

[generator]
method = "local_lm"
system = "Answer with one word."
temperature = 0.7
max_new_tokens = 8

[prompts]
template = "What is the capital of {country}?"
source = { method = "datasets_file", path = "{questions}" }

[verifier]
method = "regex_match"
pattern = "{capital}"

[strategy]
method = "repeated_sampling"
n = 4
"""

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    rows = [{"country": "France", "capital": "Paris"}, {"country": "Japan", "capital": "Tokyo"}]
    datasets.Dataset.from_list(rows).to_parquet(folder / "questions.parquet")
    (folder / "capitals.toml").write_text(TASK)

    task_file = TaskFile.load(folder / "capitals.toml")
    result = solve(
        task_file.tasks(),
        task_file.build("generator", task_file.generator),
        task_file.build("strategy", task_file.strategy),
        seed=task_file.seed,
    )
    for task, outcome in zip(task_file.tasks(), result.outcomes, strict=True):
        drawn = [sample.value for sample in outcome.samples]
        print(f"{task.prompt} {drawn} passed: {outcome.passed}")
