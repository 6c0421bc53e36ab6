"""The draws of a run in the forms that TRL trains on.

* `sft`: `prompt`, `completion`: the draws that passed, for supervised fine-tuning.
* `preference`: `prompt`, `chosen`, `rejected`: for one task, the first draw that passed against the
  first that failed, the second against the second, and so on; for DPO and its kin.
* `reward`: `prompt`, `completion`, `label`: every draw that was judged, `label` telling whether it
  passed; TRL calls it unpaired preference, for KTO.

Equal draws of one task count once. Draws that nobody checked, or that the verifier could not
decide, are in none of them. A prompt of chat messages makes a conversational row: messages too.

TRL, "Dataset formats and types", https://huggingface.co/docs/trl/dataset_formats.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, get_args

from genwright.core import codec
from genwright.core.errors import InvalidArgument
from genwright.core.run import Run

Form = Literal["draws", "sft", "preference", "reward"]
"""What an exported file holds; `draws` is the ledger's own form."""

FORMS: tuple[Form, ...] = get_args(Form)

_JUDGED = """
SELECT d.task, d.value, d.kind, coalesce(o.prompt, c.prompt) AS prompt, v.passed
FROM draws d
JOIN calls c ON c.run = d.run AND c.task = d.task AND c.call = d.call
LEFT JOIN outcomes o ON o.run = d.run AND o.task = d.task
JOIN verdicts v ON v.id = (
    SELECT max(id) FROM verdicts w
    WHERE w.run = d.run AND w.task = d.task AND w.digest = d.digest)
WHERE d.run = ? AND v.passed IS NOT NULL
AND d.id = (
    SELECT min(id) FROM draws e WHERE e.run = d.run AND e.task = d.task AND e.digest = d.digest)
ORDER BY d.id"""


def training_rows(run: Run, form: Form) -> Iterator[dict[str, Any]]:
    """Yield the rows of one form, task by task, in the order of recording.

    Raises:
        InvalidArgument: draws that are no texts.
    """
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in run.ledger.read(_JUDGED, (run.id,)):
        if row["kind"] != "text":
            raise InvalidArgument(
                f"export: TRL trains on texts, and a draw of task {row['task']!r} is "
                f"{row['kind']}; export it with --format draws."
            )
        prompt = codec.loads(row["prompt"])
        talk = isinstance(prompt, list)
        said: Any = [{"role": "assistant", "content": row["value"]}] if talk else row["value"]
        tasks[row["task"]].append(
            {"prompt": prompt, "completion": said, "label": bool(row["passed"])}
        )
    for judged in tasks.values():
        passed = [row for row in judged if row["label"]]
        if form == "reward":
            yield from judged
        elif form == "sft":
            yield from ({k: row[k] for k in ("prompt", "completion")} for row in passed)
        else:
            failed = [row for row in judged if not row["label"]]
            for good, bad in zip(passed, failed, strict=False):  # the shorter list ends the pairs
                yield {
                    "prompt": good["prompt"],
                    "chosen": good["completion"],
                    "rejected": bad["completion"],
                }
