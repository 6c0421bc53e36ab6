"""Every format that `datasets` reads gives the same rows, and nothing is left behind."""

import gzip
import json

import pytest

from genwright.core import InvalidArgument, MissingFile, build
from genwright.core.task_file import TaskFile
from genwright.synthesis.datasets_file import DatasetsFile

datasets = pytest.importorskip("datasets")
ROWS = [{"question": "1 + 1?", "answer": 2}, {"question": "2 + 2?", "answer": 4}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    table = datasets.Dataset.from_list(ROWS)
    table.to_parquet(path / "rows.parquet")
    table.to_json(path / "rows.jsonl")
    table.to_csv(path / "rows.csv")
    table.to_csv(path / "rows.tsv", sep="\t")
    (path / "rows.json").write_text(json.dumps(ROWS))
    (path / "nested.json").write_text(json.dumps({"data": ROWS}))
    with gzip.open(path / "rows.jsonl.gz", "wb") as file:
        file.write((path / "rows.jsonl").read_bytes())
    return path


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "json", "csv", "tsv", "jsonl.gz"])
def test_each_format_gives_the_rows(folder, ending):
    before = sorted(p.name for p in folder.iterdir())
    assert DatasetsFile(path=str(folder / f"rows.{ending}")).rows() == ROWS
    assert sorted(p.name for p in folder.iterdir()) == before


def test_rows_may_stand_under_a_key(folder):
    assert DatasetsFile(path=str(folder / "nested.json"), field="data").rows() == ROWS


def test_a_task_file_reads_it(folder):
    text = """name = "t"
[data]
questions = "rows.parquet"
[generator]
method = "remote_lm"
[prompts]
source = { method = "datasets_file", path = "{questions}" }
[verifier]
method = "exact_match"
gold = "{answer}"
"""
    (folder / "t.toml").write_text(text)
    tasks = TaskFile.load(folder / "t.toml").tasks()
    assert [(t.prompt, t.verifier.gold) for t in tasks] == [("1 + 1?", 2), ("2 + 2?", 4)]


def test_what_cannot_be_read_is_told(folder):
    with pytest.raises(MissingFile, match=r"none\.csv"):
        DatasetsFile(path=str(folder / "none.csv")).rows()
    (folder / "a.xls").write_text("x")
    with pytest.raises(InvalidArgument, match="must end in"):
        build("source", {"method": "datasets_file", "path": str(folder / "a.xls")}).rows()
    (folder / "bad.parquet").write_text("no parquet")
    with pytest.raises(InvalidArgument, match=r"bad\.parquet cannot be read as parquet"):
        DatasetsFile(path=str(folder / "bad.parquet")).rows()
