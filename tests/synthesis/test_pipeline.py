"""The pipeline keeps what passes, sets apart what does not, and stops where it says."""

import json

import pytest

from genwright.core import Budget, InvalidArgument, Sample, Stop, Verdict
from genwright.synthesis.dedup import Dedup
from genwright.synthesis.gates import AnswersSomething
from genwright.synthesis.pipeline import Pipeline, template_source, write_from_template
from genwright.synthesis.schema_templates import schema_templates
from genwright.synthesis.templates import SynthItem

EARLY = tuple(str(n) for n in range(25))


class Even:
    """Passes even answers; cannot decide on multiples of 7."""

    def check(self, samples):
        return [self.judge(int(item.answer)) for item in samples.values]

    def judge(self, n):
        if n % 7 == 0:
            return Verdict.undecided("seven")
        return Verdict.fail("odd") if n % 2 else Verdict.ok()


def number(material, seed):
    text = str(material % 50)
    item = SynthItem(question=text, answer=text, template="t", phrasing="t/0", structure="s")
    return Sample(item)


def numbers(**changes):
    settings = {"source": lambda seed: seed, "write": number, "gate": Even()}
    return Pipeline(**{**settings, **changes})


def test_kept_and_rejected_items_are_all_items_each_with_its_reason():
    made = numbers().run(10, Budget(), seed=0)
    assert len(made.items) == 10
    assert made.stop is Stop.COMPLETE
    assert all(int(i.answer) % 2 == 0 and int(i.answer) % 7 for i in made.items)
    assert len({item.question for item in made.items}) == 10
    for item, reason in made.rejected:
        n = int(item.answer)
        expected = "undecided: seven" if n % 7 == 0 else "odd" if n % 2 else "duplicate"
        assert reason == expected
    assert made.cost.verifier_calls == made.cost.draws


def test_batches_change_no_item():
    one, many = (numbers(batch=b).run(10, Budget(), seed=4).items for b in (1, 16))
    assert one == many


def test_a_budget_and_an_exhausted_source_end_the_run():
    spent = numbers(batch=4).run(1000, Budget(draws=10), seed=0)
    assert (spent.stop, spent.cost.draws) == (Stop.BUDGET, 10)
    dry = numbers(tries=2).run(100, Budget(), seed=0)
    assert (dry.stop, dry.cost.draws) == (Stop.COMPLETE, 200)
    assert len(dry.items) <= 21  # even numbers below 50 that are no multiple of 7


def test_texts_of_a_test_set_are_kept_out():
    made = numbers(dedup=Dedup(against=EARLY)).run(10, Budget(), seed=0)
    assert not set(EARLY) & {item.question for item in made.items}
    assert made.reasons()["in the test set"] > 0


def test_templates_of_a_real_database_go_through_and_are_saved(tiny, tmp_path):
    made = Pipeline(
        source=template_source(schema_templates(tiny)),
        write=write_from_template,
        gate=AnswersSomething(database=tiny),
    ).run(20, Budget(), seed=0)
    made.save(tmp_path / "set")
    rows = [json.loads(line) for line in (tmp_path / "set" / "items.jsonl").open()]
    gone = [json.loads(line) for line in (tmp_path / "set" / "rejected.jsonl").open()]
    assert [row["question"] for row in rows] == [item.question for item in made.items]
    assert len(rows) == 20
    assert all(item.checks[0].passed for item in made.items)
    assert len(gone) == len(made.rejected)
    assert all(row["reason"] for row in gone)


@pytest.mark.parametrize("setting", ["batch", "tries"])
def test_settings_below_one_are_refused(setting):
    with pytest.raises(InvalidArgument, match="1 or more"):
        numbers(**{setting: 0})
