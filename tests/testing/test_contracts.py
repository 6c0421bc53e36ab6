"""Sound methods keep every law; for each law there is a broken method that only breaks it."""

import os
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import numpy as np
import pytest

from genwright.core import (
    Budget,
    Cost,
    Guesses,
    InvalidArgument,
    Outcome,
    Sample,
    Samples,
    Stop,
    Task,
    Verdict,
    Vocabulary,
)
from genwright.core.registry import SLOTS
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
    check_contract,
    contract_checks,
)

CHOICES = ["heads", "tails"]


def broken_laws(case, slot):
    """Return the names of the laws that a case breaks."""
    names = []
    for law in contract_checks(slot):
        try:
            law(case)
        except AssertionError as error:
            names += [law.__name__] if str(error) else []
    return names


def test_a_slot_without_laws_is_named():
    with pytest.raises(InvalidArgument, match=r"no laws for 'oven'; there are: .*'generator'"):
        contract_checks("oven")


@pytest.mark.parametrize("slot", list(SLOTS))
def test_every_law_has_a_name_that_says_it_and_a_broken_method(slot):
    names = {law.__name__ for law in contract_checks(slot)}
    assert names == {broken[1] for broken in BROKEN[slot]}
    assert all(law.__doc__ for law in contract_checks(slot))


# Generators.


class Coin:
    """A sound generator with a stream; `twist` breaks one thing."""

    def __init__(self, twist=""):
        self.twist, self.count, self.coin = twist, 0, Uniform(CHOICES)

    def sample(self, prompt, n, *, seed, first=0):
        self.count += 1
        twist = self.twist
        if twist == "remembers":
            return Samples([self.count] * n)
        if twist == "forgets first":
            return self.coin.sample(prompt, n, seed=seed)
        if twist == "eats the prompt":
            prompt.clear()
        if twist == "no seed":
            seed = 0
        if twist == "one draw for all":
            return Samples(self.coin.sample(prompt, 1, seed=seed).values * n)
        if twist == "one too many" and n:
            n, first = n + (n == 1), first
        drawn = self.coin.sample(prompt, n, seed=seed, first=first)
        if twist == "free":
            drawn.costs = [Cost()] * n
        if twist == "earns":
            drawn.costs = [Cost(draws=1, money=-1.0)] * n
        if twist == "NaN":
            return Samples(drawn.values, [NAN] * n)
        return drawn

    def stream(self, prompt, n, *, seed, first=0):
        drawn = self.sample(prompt, n, seed=seed, first=first)
        indices = range(n) if self.twist == "stream from 0" else range(first, first + n)
        if self.twist == "stream shuffles":
            drawn = drawn[::-1]
        yield from reversed(list(zip(indices, drawn, strict=True)))


NAN = float("nan")


def coin(twist=""):
    return GeneratorCase(make=lambda: Coin(twist), prompt=["p"], n=6)


# Verifiers.


@dataclass(frozen=True)
class IsSeven:
    twist: str = ""
    calls: list = field(default_factory=list)

    def check(self, samples):
        twist = self.twist
        self.calls.append(1)
        if twist == "sorts":
            samples.values.sort()
        verdicts = [self.verdict(value) for value in samples.values]
        if twist == "drops duplicates of the batch" and len(verdicts) > 1:
            return verdicts[:-1]
        if twist == "first wins":
            first = verdicts[0].score if verdicts else 0
            return [v if i == 0 or not first else Verdict.fail() for i, v in enumerate(verdicts)]
        if twist == "moody" and len(self.calls) > 1:
            return [Verdict.fail() for _ in verdicts]
        return verdicts

    def verdict(self, value):
        if self.twist == "blind":
            return Verdict.fail()
        if self.twist == "kind":
            return Verdict.ok()
        try:
            passed = int(value) == 7
        except ValueError:
            if self.twist == "fragile":
                raise
            passed = False
        if self.twist == "evidence of bytes":
            return Verdict.ok(b"7") if passed else Verdict.fail(b"")
        return Verdict.ok() if passed else Verdict.fail()


def seven(twist=""):
    return VerifierCase(
        make=lambda: IsSeven(twist),
        gold=["7", " 07"],
        corrupted=["8", "77"],
        hostile=["", "x", "("],
    )


# Strategies.

TURNS = count()


@dataclass(frozen=True)
class FirstHeads:
    """Draw until heads, at most ten draws, two a call."""

    twist: str = ""

    def run(self, generator, task, budget, seed):
        twist = self.twist
        drawn = Samples()
        stop, checked = None, Cost()
        if twist == "plans first" and budget.room(Cost(), 1):
            plan = generator.sample("a plan, please", 1, seed=seed)
            budget = budget.after(plan.cost)
        if twist == "edits the task":
            task.prompt.append("more")
        if twist == "moody":
            seed = next(TURNS) % 2
        if twist == "draws anew when recorded" and hasattr(generator, "_inner"):
            seed = next(TURNS)
        while stop is None:
            n = 2 if twist == "no room" else budget.room(drawn.cost + checked, 2)
            if twist == "at least one":
                n = max(n, 1)
            if twist == "blind to tokens" and budget.draws is None:
                n = 2
            if n == 0 or (twist == "no room" and budget.is_spent(drawn.cost)):
                break
            first = 0 if twist == "no first" else len(drawn)
            if twist == "goes round the ledger":
                generator = getattr(generator, "_inner", generator)
            batch = generator.sample(task.prompt, n, seed=seed, first=first)
            drawn += batch
            verdicts = task.verifier.check(batch)
            checked += sum((v.cost for v in verdicts), Cost())
            stop = Stop.COMPLETE if len(drawn) >= 10 else None
        chosen = next((s for s in drawn if s.value == "heads"), None)
        stop = stop or (Stop.COMPLETE if twist == "no reason" else Stop.BUDGET)
        if twist == "chooses its own":
            chosen = Sample("edge")
        if twist in ("names no such part", "leaves a part out"):
            parts = [0, 999] if twist == "names no such part" else [0]
            chosen = Sample("a whole", info={"draws": parts})
        if twist == "earns":
            drawn = Samples(drawn.values, drawn.logprobs, [Cost()] * len(drawn))
        if twist == "hides a draw":
            drawn = drawn[1:]
            chosen = None
        info = {"votes": {("heads",): 1}} if twist == "tuple keys" else {"draws": len(drawn)}
        return Outcome(chosen, drawn, stop, info)


def heads(twist=""):
    task = Task(["p"], Passes(lambda value: value == "heads"), data={"a": [1]})
    return StrategyCase(
        make=lambda: FirstHeads(twist), generator=Uniform(CHOICES), task=task, batch=2
    )


# Constraints.

PIECES = [b"", b"a", b"b", b"c", b"ab", b"bc"]
LETTERS = Vocabulary(PIECES, frozenset({0}), lambda text: ["?abc".index(c) for c in text])
WORDS = {b"abc", b"abca", b"cab"}


class State:
    def __init__(self, twist, text=b""):
        self.twist, self.text = twist, text

    def mask(self):
        twist = self.twist
        words = WORDS | {b"bb"} if twist == "one word too many" else WORDS
        allowed = [any(w.startswith(self.text + piece) for w in words) for piece in PIECES]
        allowed[0] = self.text in words
        if twist == "dead end" and self.text == b"c":
            allowed = [False] * len(PIECES)
        if twist == "never ends":
            allowed = [False, *[True] * 5]
        if twist == "misses a word" and not self.text:
            allowed[3] = False
        if twist == "bytes":
            return np.array(allowed, dtype=np.uint8)
        return np.array(allowed)

    def advance(self, token):
        if self.twist == "refuses" and PIECES[token] == b"ab":
            raise ValueError("no such token here")
        self.text += PIECES[token]

    def fork(self):
        return self if self.twist == "same fork" else State(self.twist, self.text)

    @property
    def accepting(self):
        if self.twist == "never ends":
            return False
        if self.twist == "accepts early" and self.text == b"ab":
            return True
        return bool(self.mask()[0])

    def forced(self):
        if self.twist == "forces one of two" and not self.text:
            return [1]
        if self.text in WORDS:
            return []
        rests = {w[len(self.text) :] for w in WORDS if w.startswith(self.text)}
        shared = next(iter(rests)) if len(rests) == 1 else b""
        return [PIECES.index(bytes([byte])) for byte in shared]


class Words:
    def __init__(self, twist=""):
        self.twist = twist

    def compile(self, vocabulary):
        return self

    def start(self):
        if self.twist == "one state":
            self.state = getattr(self, "state", None) or State("")
            return self.state
        return State(self.twist)


def words(twist=""):
    return ConstraintCase(
        make=lambda: Words(twist),
        vocabulary=LETTERS,
        members=["abc", "abca", "cab"],
        outsiders=["", "ab", "abcab"],
        accepts=WORDS.__contains__,
    )


# Learners.


@dataclass
class Learned:
    """A generator whose only weight is its list of choices."""

    choices: list

    def sample(self, prompt, n, *, seed, first=0):
        return Uniform(self.choices).sample(prompt, n, seed=seed, first=first)


@dataclass(frozen=True)
class Imitate:
    twist: str = ""

    def fit(self, generator, data, *, seed):
        twist = self.twist
        rows = [row["completion"] for row in data]
        if twist == "in place":
            generator.choices[:] = rows
            return Learned(rows)
        if twist == "moody":
            return Learned([Random().random() for _ in rows])
        if twist == "eats the data":
            data.pop()
        return Learned(generator.choices if twist == "lazy" else rows)


def imitate(twist=""):
    data = [{"prompt": "p", "completion": "edge"}, {"prompt": "p", "completion": "lost"}]
    return LearnerCase(
        make=lambda: Imitate(twist), generator=lambda: Learned(list(CHOICES)), data=data, prompt="p"
    )


# Sources, keys, loaders, selectors.


@dataclass(frozen=True)
class Squares:
    twist: str = ""
    seed: int = 0
    kept: list = field(default_factory=list)

    def rows(self):
        twist, seed = self.twist, 0 if self.twist == "no seed" else self.seed
        made = [{"question": f"{seed + i}^2?", "answer": (seed + i) ** 2} for i in range(3)]
        if twist == "none":
            return []
        if twist == "lists":
            return [list(row.items()) for row in made]
        if twist == "sets":
            made[0]["answer"] = {1}
        if twist == "lacks one":
            del made[2]["answer"]
        if twist == "moody":
            made.append({"question": "?", "answer": next(TURNS)})
        if twist == "hands out its own":
            self.kept[:] = self.kept or made
            return self.kept
        return made


def squares(twist=""):
    return SourceCase(
        make=lambda: Squares(twist),
        other=lambda: Squares(twist, 5),
        columns=("question", "answer"),
    )


@dataclass(frozen=True)
class Total:
    """The sum of numbers joined by plus signs."""

    twist: str = ""

    def __call__(self, value):
        twist = self.twist
        if isinstance(value, list):
            total = sum(value)
            if twist == "eats the value":
                value.clear()
            return total
        if twist == "literal" and "+" in value:
            return value
        if twist == "constant":
            return 1
        if twist == "moody":
            return next(TURNS)
        try:
            total = sum(int(part) for part in str(value).split("+"))
        except ValueError:
            if twist == "raises":
                raise
            return 0 if twist == "zero for nonsense" else None
        return [total] if twist == "list" else total


def total(twist=""):
    return KeyCase(
        make=lambda: Total(twist),
        groups=[["1+2", "3", "0+3"], ["4"], [[2, 3]]],
        nonsense=["one", ""],
        hostile=["(", "1+"],
    )


@dataclass(frozen=True)
class Written:
    path: Path
    twist: str = ""

    def __call__(self):
        twist = self.twist
        path = self.path / f"data{next(TURNS)}" if twist == "another path" else self.path / "data"
        if twist == "nowhere":
            return path
        if not path.exists() or twist == "again":
            path.write_bytes(b"" if twist == "empty" else os.urandom(8))
        if twist == "leaves a part":
            path.with_name("data.part").write_text("x")
        return path


def written(twist=""):
    folder = Path(mkdtemp())
    return LoaderCase(make=lambda: Written(folder, twist))


@dataclass(frozen=True)
class Ranked:
    programs: tuple
    score: float


@dataclass(frozen=True)
class MostPassed:
    twist: str = ""

    def select(self, matrix, counts=None):
        twist, matrix = self.twist, np.asarray(matrix)
        weights = np.ones(matrix.shape[1]) if counts is None else np.array(counts[1])
        if twist == "no counts":
            weights = np.ones(matrix.shape[1])
        if twist == "the first test counts double":
            weights = weights * np.where(np.arange(len(weights)) == 0, 2, 1)
        scores = (matrix @ weights).tolist()
        if twist == "writes":
            matrix[:] = 0
        if twist == "NaN":
            scores = [NAN] * len(scores)
        if twist == "one by one":
            scores = [score - i / 100 for i, score in enumerate(scores)]
        groups = [
            Ranked(tuple(p for p, s in enumerate(scores) if s == score or s != s), score)
            for score in sorted(set(scores), reverse=twist != "worst first")
        ]
        return groups[:1] if twist == "the best alone" else groups


def most_passed(twist=""):
    return SelectorCase(make=lambda: MostPassed(twist))


# Draft sources.


class Echo:
    """A sound source: what last followed the last token follows it again."""

    def __init__(self, twist=""):
        self.twist, self.draws, self.prompts = twist, [], []

    def begin(self, vocabulary, prompt):
        self.prompts.append(list(prompt))
        return EchoState(self, list(prompt), vocabulary.eos)


class EchoState:
    def __init__(self, source, prompt, eos):
        self.source, self.prompt, self.eos = source, prompt, eos

    def draft(self, tokens, size, floor):
        twist, last = self.source.twist, [*self.prompt, *tokens][-1]
        found = []
        for seen in (self.prompt, *self.source.draws):
            if last in seen[:-1]:
                found = seen[seen.index(last) + 1 :][:4]
        if twist == "tells of the first prompt":
            found = found or self.source.prompts[0]
        if twist != "guesses the end":
            found = [token for token in found if token not in self.eos]
        if twist == "guesses nothing":
            found = []
        least = {"at least one": 1, "four whatever is asked": 4}.get(twist, 0)
        found = found[: max(size, least)]
        parents = [i - (twist != "its own parent") for i in range(len(found))]
        odds = [0.9 ** (i + 1) for i in range(len(found))]
        return Guesses(found, parents, odds[::-1] if twist == "odds rise" else odds)

    def end(self, tokens):
        self.source.draws.append(list(tokens))


def echo(twist=""):
    words = Vocabulary([b"x"] * 9 + [b""], frozenset({9}), lambda text: [], "nine")
    return DraftsCase(
        make=lambda: Echo(twist),
        vocabulary=words,
        draws=[([0, 1, 9, 1], [1, 2, 3, 4]), ([3], [4, 2, 3, 4, 2, 3, 4])] * 2,
        secret=[7, 8, 7],
    )


# Filters.


class HoldsA:
    """A sound filter: texts with an a."""

    def __init__(self, twist=""):
        self.twist = twist

    def allows(self, texts):
        found = ["a" in text for text in texts]
        if self.twist == "allows everything":
            return [True for _ in texts]
        if self.twist == "after the first refusal none":
            found = [found[i] and all(found[:i]) for i in range(len(found))]
        return list(np.array(found)) if self.twist == "numbers of NumPy" else found


def holds_a(twist=""):
    return FilterCase(make=lambda: HoldsA(twist), allowed=["cat", "a"], refused=["dog", "x"])


# Shapers.


class LikesTheLast:
    """A sound shaper: what was written last is likelier to come again."""

    def __init__(self, twist=""):
        self.twist, self.shared = twist, []

    def start(self, vocabulary, prompt):
        return LikingState(self, list(prompt))


class LikingState:
    def __init__(self, shaper, written):
        self.shaper, self.written, self.asked = shaper, written, 0

    def shape(self, logits):
        twist = self.shaper.twist
        self.asked += 1
        written = [*self.written, *self.shaper.shared] if twist == "one for all" else self.written
        shaped = logits if twist == "writes" else logits.copy()
        shaped[written[-1]] += self.asked if twist == "counts" else 0 if twist == "idle" else 2
        if twist == "NaN":
            shaped[0] = np.nan
        return shaped.astype(np.float64) if twist == "float64" else shaped

    def advance(self, token):
        if self.shaper.twist == "must be asked" and not self.asked:
            return
        self.written.append(token)
        self.shaper.shared.append(token)


def likes_the_last(twist=""):
    words = Vocabulary([b"x"] * 9 + [b""], frozenset({9}), lambda text: [], "nine")
    return ShaperCase(
        make=lambda: LikesTheLast(twist), vocabulary=words, prompt=[0, 1], tokens=[2, 3]
    )


CASES = {
    "drafts": echo,
    "filter": holds_a,
    "shaper": likes_the_last,
    "source": squares,
    "key": total,
    "loader": written,
    "selector": most_passed,
    "generator": coin,
    "verifier": seven,
    "strategy": heads,
    "constraint": words,
    "learner": imitate,
}
BROKEN = {
    "filter": [
        ("allows everything", "known_texts_get_the_known_answers"),
        ("after the first refusal none", "every_text_is_judged_on_its_own"),
        ("numbers of NumPy", "hostile_texts_get_an_answer"),
    ],
    "shaper": [
        ("float64", "rows_keep_their_shape_and_stay_numbers"),
        ("NaN", "rows_keep_their_shape_and_stay_numbers"),
        ("writes", "the_input_is_left_as_it_was"),
        ("idle", "the_odds_are_changed"),
        ("counts", "asking_twice_gives_the_same"),
        ("must be asked", "what_was_written_counts_not_when_it_was_asked"),
        ("one for all", "draws_do_not_share_a_state"),
    ],
    "source": [
        ("none", "rows_are_json_tables"),
        ("lists", "rows_are_json_tables"),
        ("sets", "rows_are_json_tables"),
        ("lacks one", "every_row_has_the_columns"),
        ("moody", "the_same_seed_gives_the_same_rows"),
        ("no seed", "another_seed_gives_other_rows"),
        ("hands out its own", "rows_belong_to_who_asked_for_them"),
    ],
    "key": [
        ("literal", "equal_answers_vote_together"),
        ("constant", "other_answers_vote_apart"),
        ("zero for nonsense", "nonsense_casts_no_vote"),
        ("raises", "hostile_values_are_no_exceptions"),
        ("list", "equal_answers_vote_together"),
        ("moody", "the_same_value_votes_the_same"),
        ("eats the value", "values_are_left_as_they_were"),
    ],
    "loader": [
        ("nowhere", "the_file_is_there"),
        ("empty", "the_file_is_there"),
        ("another path", "loading_again_changes_nothing"),
        ("again", "loading_again_changes_nothing"),
        ("leaves a part", "only_the_file_is_left"),
    ],
    "drafts": [
        ("guesses the end", "guesses_are_a_tree"),
        ("its own parent", "guesses_are_a_tree"),
        ("odds rise", "guesses_are_a_tree"),
        ("four whatever is asked", "guesses_are_a_tree"),
        ("guesses nothing", "what_was_seen_is_guessed"),
        ("tells of the first prompt", "a_prompt_is_its_own_draws_alone"),
        ("at least one", "no_size_is_no_guess"),
    ],
    "selector": [
        ("the best alone", "every_program_stands_in_one_group"),
        ("worst first", "scores_fall"),
        ("NaN", "scores_fall"),
        ("one by one", "equal_rows_stand_together"),
        ("the first test counts double", "the_order_of_programs_and_tests_is_irrelevant"),
        ("no counts", "counts_equal_repeating"),
        ("writes", "the_matrix_is_left_as_it_was"),
    ],
    "generator": [
        ("remembers", "same_seed_gives_the_same_draws"),
        ("forgets first", "draws_do_not_depend_on_how_they_are_asked_for"),
        ("one too many", "as_many_draws_as_asked_for"),
        ("free", "costs_add_up"),
        ("earns", "costs_add_up"),
        ("NaN", "log_probabilities_are_numbers"),
        ("eats the prompt", "the_prompt_is_left_as_it_was"),
        ("stream from 0", "a_stream_gives_the_same_draws"),
        ("stream shuffles", "a_stream_gives_the_same_draws"),
        ("no seed", "draws_differ"),
        ("one draw for all", "draws_differ"),
    ],
    "verifier": [
        ("blind", "gold_is_accepted"),
        ("kind", "corrupted_is_rejected"),
        ("fragile", "hostile_is_a_verdict"),
        ("drops duplicates of the batch", "a_batch_equals_its_single_draws"),
        ("first wins", "the_order_of_draws_is_irrelevant"),
        ("moody", "the_same_draw_gets_the_same_verdict"),
        ("sorts", "draws_are_left_as_they_were"),
        ("evidence of bytes", "verdicts_can_be_recorded"),
    ],
    "strategy": [
        ("moody", "same_seed_gives_the_same_outcome"),
        ("hides a draw", "every_draw_is_reported"),
        ("earns", "every_draw_is_reported"),
        ("no first", "no_draw_is_made_twice"),
        ("chooses its own", "the_choice_is_one_of_the_draws"),
        ("names no such part", "the_choice_is_one_of_the_draws"),
        ("leaves a part out", "the_choice_is_one_of_the_draws"),
        ("no room", "a_budget_in_draws_is_exact"),
        ("no reason", "a_budget_in_draws_is_exact"),
        ("blind to tokens", "other_budgets_are_overshot_by_one_call_at_most"),
        ("at least one", "an_empty_budget_draws_nothing"),
        ("edits the task", "the_task_is_left_as_it_was"),
        ("tuple keys", "what_it_reports_can_be_recorded"),
        ("goes round the ledger", "a_killed_run_resumes"),
        ("draws anew when recorded", "a_killed_run_resumes"),
    ],
    "constraint": [
        ("bytes", "masks_have_the_shape_of_the_vocabulary"),
        ("dead end", "there_is_always_a_way_on"),
        ("accepts early", "accepting_means_that_the_mask_allows_the_end"),
        ("refuses", "allowed_tokens_can_be_taken"),
        ("same fork", "forks_are_independent"),
        ("one state", "draws_do_not_share_a_state"),
        ("forces one of two", "forced_tokens_agree_with_the_masks"),
        ("never ends", "finished_walks_belong_to_the_set"),
        ("one word too many", "finished_walks_belong_to_the_set"),
        ("misses a word", "members_are_allowed_and_outsiders_are_not"),
    ],
    "learner": [
        ("in place", "the_generator_is_left_as_it_was"),
        ("moody", "the_same_seed_gives_the_same_result"),
        ("eats the data", "the_data_is_left_as_it_was"),
        ("lazy", "something_is_learned"),
    ],
}


@pytest.mark.parametrize("slot", CASES)
def test_a_sound_method_keeps_every_law(slot):
    check_contract(CASES[slot]())
    assert broken_laws(CASES[slot](), slot) == []


@pytest.mark.parametrize(
    ("slot", "twist", "name"), [(slot, *pair) for slot in BROKEN for pair in BROKEN[slot]]
)
def test_a_broken_method_breaks_the_law(slot, twist, name):
    case = CASES[slot](twist)
    assert name in broken_laws(case, slot)
    sentence = name.replace("_", " ")
    with pytest.raises(AssertionError, match="breaks the law") as caught:
        check_contract(case)
    said = str(caught.value)
    assert said.startswith(f"{slot} {type(case.make()).__name__} breaks the law")
    assert sentence in said or broken_laws(case, slot)[0] != name


def test_a_generator_that_is_not_random_need_not_differ():
    case = replace(coin("no seed"), random=False)
    assert broken_laws(case, "generator") == []


def test_a_learner_that_has_nothing_to_learn_may_return_a_copy():
    assert broken_laws(replace(imitate("lazy"), changes=False), "learner") == []


def test_the_stated_batch_is_the_overshoot_allowed():
    """Two a call: one token past the limit is fine, and is not where one a call is stated."""
    assert broken_laws(heads(), "strategy") == []
    wrong = broken_laws(replace(heads(), batch=1), "strategy")
    assert wrong == ["other_budgets_are_overshot_by_one_call_at_most"]


def test_draws_for_a_prompt_of_its_own_need_not_be_among_the_samples():
    assert broken_laws(heads("plans first"), "strategy") == []


def test_a_budget_of_more_than_is_needed_may_end_complete():
    outcome, watch = heads().run(Budget(draws=10))
    assert (outcome.stop, len(watch.drawn)) == (Stop.COMPLETE, 10)
