"""A verifier of genwright as the scorer of an inspect_ai evaluation, on its mock model.

pip install 'genwright[friends]'
python examples/inspect_scorer.py
"""

import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate

from genwright.verifiers.adapters import as_inspect_scorer
from genwright.verifiers.json_schema import JsonFields

samples = [
    Sample(input="Ada, 36, from London", target='{"name": "Ada", "age": 36, "city": "London"}'),
    Sample(input="Ben, 41, from Oslo", target='{"name": "Ben", "age": 41, "city": "Oslo"}'),
]
answers = [
    '{"name": "Ada", "age": 36, "city": "London"}',
    '{"name": "Ben", "age": 14, "city": "Oslo"}',
]


def said(text: str) -> ModelOutput:
    """Return an output of the mock, with its usage, which it would else count with a tokenizer."""
    output = ModelOutput.from_content("mockllm/model", text)
    output.usage = ModelUsage()
    return output


scorer = as_inspect_scorer(lambda row: JsonFields(gold=row["target"]))
with tempfile.TemporaryDirectory() as folder:
    (log,) = eval(
        Task(dataset=samples, solver=generate(), scorer=scorer),
        model=get_model("mockllm/model", custom_outputs=[said(text) for text in answers]),
        log_dir=folder,
        display="none",
        max_samples=1,
    )
    for sample in log.samples:
        score = sample.scores["genwright"]
        print(f"{sample.input}: {score.value:.2f}, {score.metadata['evidence']}")
    print({name: round(metric.value, 3) for name, metric in log.results.scores[0].metrics.items()})
