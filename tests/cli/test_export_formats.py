"""`runs export --format` writes what TRL trains on, and says what there is not."""

import json


def test_each_format_is_written(run, endpoint, task, tmp_path):
    task(endpoint, 'answer = "4"', 'answer = "5"')
    done = run("solve", "sums", "--json").json["run"]
    for form, keys in (
        ("sft", {"prompt", "completion"}),
        ("reward", {"prompt", "completion", "label"}),
    ):
        said = run("runs", "export", done, f"{form}.jsonl", "--format", form, "--json")
        assert said.code == 0, said.err
        rows = [json.loads(line) for line in (tmp_path / f"{form}.jsonl").read_text().splitlines()]
        assert said.json == {"path": f"{form}.jsonl", "format": form, "rows": len(rows)}
        assert all(set(row) == keys for row in rows)
    assert {(row["prompt"], row["label"]) for row in rows} == {("1 + 1?", True), ("2 + 2?", False)}
    assert "1 sft rows written" in run("runs", "export", done, "a.jsonl", "--format", "sft").out


def test_a_run_without_pairs_says_so_and_writes_nothing(run, endpoint, task, tmp_path):
    task(endpoint)
    done = run("solve", "sums", "--json").json["run"]
    said = run("runs", "export", done, "pairs.jsonl", "--format", "preference")
    assert said.code != 0
    assert "one that failed" in said.err
    assert not (tmp_path / "pairs.jsonl").exists()
    assert run("runs", "export", done, "a.jsonl", "--format", "dpo").code != 0
