"""Cases of verifiers."""

import pytest
from case_parts import PENS, SCHEMA, cls

from genwright.testing import Uniform, VerifierCase


def verifier(name, right, wrong, **settings):
    kind = cls("verifier", name)
    return VerifierCase(make=lambda: kind(**settings), gold=right, corrupted=wrong)


def parts():
    kind, regex = cls("verifier", "exact_match"), cls("verifier", "regex_match")
    return kind(gold="seven"), regex(pattern="^se")


def verifier__exact_match():
    return verifier("exact_match", ["seven", " Seven."], ["eight", "seven of nine"], gold="seven")


def verifier__regex_match():
    return verifier("regex_match", ["a7"], ["x"], pattern="[0-9]+")


def verifier__json_schema_valid():
    texts = ['{"a": "1"}', "{", "[]", '{"a": 1, "c": 2}']
    return verifier("json_schema_valid", ['{"a": 1}'], texts, schema=SCHEMA)


def verifier__json_fields():
    texts = ['{"a": 2}', '{"a": 1, "b": "x"}', "{}"]
    return verifier("json_fields", ['{"a": 1}'], texts, gold={"a": 1}, schema=SCHEMA)


def verifier__math_answer():
    right = ["\\boxed{0.5}", "The answer is 1/2.", "#### 2/4"]
    return verifier("math_answer", right, ["2", "The answer is 3", "none"], gold="1/2")


def verifier__worked_sums():
    wrong = ["4 * 7 = 29\n60 + 29 = 32", "32", "60 / 0 = 32"]
    return verifier("worked_sums", ["4 * 7 = 29\n60 - 29 = 31"], wrong, gold=32)


def verifier__predicate():
    return verifier("predicate", ["7"], ["8", "77"], function=lambda value: value == "7")


def verifier__all_of():
    return verifier("all_of", ["seven"], ["eight", "seventy"], verifiers=parts())


def verifier__any_of():
    return verifier("any_of", ["seven", "seventy"], ["eight"], verifiers=parts())


def verifier__weighted():
    settings = {"verifiers": parts(), "weights": (2.0, 1.0)}
    return verifier("weighted", ["seven"], ["eight", "seventy"], **settings)


def verifier__repeat():
    return verifier("repeat", ["seven"], ["eight"], verifier=parts()[0])


def verifier__consensus():
    worker = cls("generator", "random_programs")(max_operations=2)
    right = worker.sample("", 1, seed=4).values
    settings = {"prompt": "", "seed": 4, "workers": (worker, worker, worker)}
    return verifier("consensus", right, ["x", "v0 = x * x; v0"], **settings)


def verifier__approximates():
    line = "v0 = x * c0; v1 = v0 + c1; v1"
    right = [f"{line} @ 3", "v0 = c0 - x; v1 = c1 / v0; v1"]
    return verifier("approximates", right, ["x", "c0 @ 1", f"{line} @"], tolerance=0.031)


def verifier__unit_tests(sandbox):
    wrong = ["def f(x):\n    return x", "def f(x):\n    return (", "import sys; sys.exit(0)"]
    settings = {"tests": "assert f(1) == 2", "entry_point": "f", "seconds": 20.0}
    gold = ["def f(x):\n    return x + 1", "```python\ndef f(x): return 2\n```"]
    return verifier("unit_tests", gold, wrong, sandbox=sandbox, **settings)


def verifier__command():
    argv = ("grep", "-q", "^seven$", "{file}")
    return verifier("command", ["seven", "a\nseven\n"], ["eight"], argv=argv)


def verifier__sql_equivalence(database):
    gold = "SELECT name FROM customers WHERE id < 3"
    right = [gold, "SELECT name FROM customers WHERE id IN (2, 1)"]
    wrong = ["SELECT name FROM customers", "SELECT", "SELECT id FROM customers WHERE id < 3"]
    return verifier("sql_equivalence", right, wrong, database=database, gold=gold)


def verifier__sql_runs(database):
    wrong = ["SELECT price FROM customers", "DROP TABLE orders"]
    return verifier("sql_runs", ["SELECT name FROM customers"], wrong, database=database)


def verifier__answers_something(database):
    right = ["SELECT name FROM customers WHERE country = 'Spain'"]
    wrong = ["SELECT name FROM customers WHERE id = 99", "SELECT price FROM customers"]
    return verifier("answers_something", right, wrong, database=database)


def verifier__deduction():
    wrong = [PENS.format("by #1 #2", 8), PENS.format("by #1", 6)]
    return verifier("deduction", [PENS.format("by #1 #2", 6)], wrong)


def step(text):
    from genwright.verifiers.deduction import Step

    return Step(("A pen costs $2.", "Ann buys 3 pens."), text)


def verifier__symbolic_step_verifier():
    wrong = [step("2 * 3 = 7"), step("2 * 5 = 10")]
    return verifier("symbolic_step_verifier", [step("2 * 3 = 6")], wrong)


class YesToSix:
    """A judge of steps that knows one product."""

    def sample(self, prompt, n, *, seed, first=0):
        return Uniform(["yes" if "= 6" in prompt else "no"]).sample(prompt, n, seed=seed)


def verifier__prompted_step_verifier():
    right, wrong = [step("2 * 3 = 6")], [step("2 * 3 = 7")]
    return verifier("prompted_step_verifier", right, wrong, generator=YesToSix())


def verifier__reasoning_gym_answer():
    pytest.importorskip("reasoning_gym")
    make = cls("source", "reasoning_gym")
    (row,) = make(dataset="chain_sum", n=1).rows()
    right = [row["answer"], f"So <answer>{row['answer']}</answer>."]
    wrong = [str(int(row["answer"]) + 1), "none"]
    return verifier("reasoning_gym_answer", right, wrong, task=row["task"])


def classifier(tmp_path_factory):
    """Return the file of a trained classifier of digits."""
    pytest.importorskip("sklearn")
    from genwright.learning.features import digit_classifier
    from genwright.nets.feature_net import save_features

    path = tmp_path_factory.mktemp("features") / "digits.safetensors"
    save_features(digit_classifier(), path)
    return path


def verifier__image_class(tmp_path_factory):
    from genwright.synthesis.images import digits_split

    train, _ = digits_split()
    right, wrong = train.pixels[train.labels == 3], train.pixels[train.labels == 0]
    settings = {"features": str(classifier(tmp_path_factory)), "label": 3}
    return verifier("image_class", list(right[:5]), [*wrong[:5], "3", [3]], **settings)


def verifier__static_validity(shop):
    pytest.importorskip("pylint")
    head = "from store import Basket\n\n\ndef f():\n    basket = Basket()\n    return "
    where = {"project": shop, "file": "use.py", "before": head, "after": "\n"}
    wrong = ["basket.owners", "basked", "basket.("]
    return verifier("static_validity", ["basket.owner", "len(basket.owner)"], wrong, **where)


def verifier__dependency_coverage():
    right = ["basket.owner + send()", "send(basket.owner)"]
    wrong = ["basket.owners + send()", "'send' + basket.owner", "resend(basket.owner)"]
    return verifier("dependency_coverage", right, wrong, names=("basket.owner", "send"))


def verifier__wordnet_generic():
    from genwright.core import MissingFile
    from genwright.verifiers.wordnet import wordnet

    try:
        wordnet()
    except MissingFile as error:
        pytest.skip(str(error))
    right, wrong = [" mammal.", " domestic animals"], [" cat", "", " thing", "zzz"]
    return verifier("wordnet_generic", right, wrong, noun="dog", relation="kind")


def verifier__critic(tmp_path):
    import numpy as np

    from genwright.learning.fit_critic import fit_critic

    rows = [
        {"prompt": p, "completion": c, "passed": c == "seven"}
        for p in "abcdefgh"
        for c in ("seven", "eight")
    ]

    def embed(texts):
        return np.array([["seven" in str(t), 1.0] for t in texts], np.float32)

    file = tmp_path / "critic.npz"
    fit_critic(file, rows, seed=0, embed=embed)
    return verifier("critic", ["seven"], ["eight", ""], file=str(file), prompt="z", embed=embed)
