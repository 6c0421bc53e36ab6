"""The walk over candidates is the paper's, by brute force; the tool is asked where it should be."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, MissingFile, Vocabulary
from genwright.generators.language.engine import Engine
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tabular import TabularModel
from genwright.steering.code_completion import CodeCompletion
from genwright.steering.completion import TRIGGER, candidates
from genwright.steering.completion_shaper import REFUSED, CompletionShaper, candidate_trie

pytest.importorskip("torch")

TOKENS = [b"a", b"b", b"ab", b"(", b" ", b"", b""]
MARK, END = 5, 6


def encode(text):
    """Greedy, longest first; the trigger is a token of its own."""
    ids = []
    while text:
        if text.startswith(TRIGGER):
            ids, text = [*ids, MARK], text[len(TRIGGER) :]
            continue
        token = max((t for t in TOKENS if t and text.startswith(t.decode())), key=len)
        ids, text = [*ids, TOKENS.index(token)], text[len(token) :]
    return ids


WORDS = Vocabulary(TOKENS, frozenset({END}), encode, "marked")


@dataclass
class Known:
    """A tool that always knows the same names, and remembers what it was asked."""

    names: tuple = ()
    asked: list = field(default_factory=list)

    def complete(self, file, before, after):
        self.asked.append((file, before, after))
        return list(self.names)


class Coder(TabularModel):
    """Random tables over the tokens above."""

    def __init__(self, seed, sharpness=1.5):
        super().__init__(size=7, depth=4, seed=seed, sharpness=sharpness)
        self.vocabulary = WORDS


def shaper(tool, **settings):
    where = {"file": "m.py", "before": "x = ", "after": "\n"}
    return CompletionShaper(tool=tool, **(where | settings))


def drawn(model, *shapers, prompt=(3,), tokens=12, temperature=0.0, seed=0):
    engine = Engine(model)
    request = Request(
        prompt=list(prompt),
        seed=seed,
        sampling=Sampling(temperature=temperature, max_new_tokens=tokens),
        shapers=shapers,
    )
    try:
        return next(draw for _, draw in engine.submit(request)).info["tokens"]
    finally:
        engine.close()


def probabilities(logits):
    return np.exp(logits - np.logaddexp.reduce(logits))


def by_hand(model, names, threshold, prompt, tokens):
    """The paper's greedy walk over whole lists of candidates, with no trie and no state."""
    spelled = {tuple(encode(name)): name for name in names}
    written, walk, mass, sure, open_walk = [], [], 0.0, False, False
    while len(written) < tokens:
        row = model.logits([*prompt, *written]).astype(np.float64)
        after_trigger = bool(written) and written[-1] == MARK
        if after_trigger:
            row[MARK] -= REFUSED
            open_walk, walk, mass = sure and bool(names), [], 0.0
        odds = probabilities(row)
        if open_walk:
            longer = {s[len(walk)] for s in spelled if list(s[: len(walk)]) == walk != list(s)}
            best = max(longer, key=lambda t: odds[t], default=None)
            ends = tuple(walk) in spelled
            mean = mass / len(walk) if walk else 0.0
            if ends and (best is None or mean > (mass + odds[best]) / (len(walk) + 1)):
                open_walk = False
                row[[0, 1, 2]] -= REFUSED  # a, b and ab would make it another name
            else:
                walk, mass = [*walk, best], mass + odds[best]
                written.append(best)
                continue
        token = int(np.argmax(row))
        if token == END:
            break
        sure = token == MARK and odds[token] >= threshold
        written.append(token)
    return written


NAMES = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=5, unique=True)


@given(seed=st.integers(0, 500), names=NAMES, threshold=st.sampled_from([0.0, 0.4, 0.8]))
def test_greedy_draws_are_the_papers_walk_over_all_candidates(seed, names, threshold):
    """Also that the walk always ends on a candidate: `by_hand` cannot end elsewhere."""
    model = Coder(seed)
    found = drawn(model, shaper(Known(tuple(names)), threshold=threshold), prompt=[3, 4])
    assert found == by_hand(model, names, threshold, [3, 4], 12)


@given(seed=st.integers(0, 200), names=NAMES)
def test_a_sampled_name_is_a_candidate_or_the_beginning_of_one(seed, names):
    model = Coder(seed, sharpness=0.5)
    ids = drawn(model, shaper(Known(tuple(names)), threshold=0.0), temperature=1.0, seed=seed)
    for part in "".join("!" if i == MARK else TOKENS[i].decode() for i in ids).split("!")[1:]:
        name = part.split("(")[0].split(" ")[0]
        cut = part == name  # the draw ended, or asked again, within or right behind the name
        assert name in names or (cut and any(n.startswith(name) for n in names))


def test_the_tool_sees_the_file_without_triggers_and_only_sure_ones_ask():
    tool, row = Known(("ab",)), np.zeros(7, np.float32)
    row[MARK] = np.log(6 * 0.79 / 0.21)
    state = shaper(tool).start(WORDS, [3])
    for token in (0, MARK):
        state.shape(row)
        state.advance(token)
    state.shape(row)
    assert tool.asked == []
    state.advance(3)
    row[MARK] += 1
    state.shape(row)
    state.advance(MARK)
    shaped = state.shape(row)
    assert tool.asked == [("m.py", "x = a(", "\n")]
    assert np.flatnonzero(shaped > -REFUSED / 2).tolist() == [2]


def test_a_threshold_above_one_never_asks():
    tool, row = Known(("ab",)), np.full(7, -90, np.float32)
    row[MARK] = 90
    state = shaper(tool, threshold=1.01).start(WORDS, [MARK])
    for _ in range(3):
        state.shape(row)
        state.advance(MARK)
        state.advance(0)
    state.advance(MARK)  # forced: no row chose it
    assert (state.shape(row)[:5] == row[:5]).all()
    assert tool.asked == []


def test_without_candidates_or_with_builtins_alone_the_draw_is_free():
    row = np.arange(7, dtype=np.float32)
    for names in ((), ("print", "None", "")):
        state = shaper(Known(names)).start(WORDS, [MARK])
        shaped = state.shape(row)
        assert (np.delete(shaped, MARK) == np.delete(row, MARK)).all()
        assert shaped[MARK] <= row[MARK] - REFUSED  # two triggers never follow one another
    assert candidates(Known(("print", "ab", "ab")), "", "", "") == ("print", "ab")


def test_a_trigger_in_the_prompt_counts():
    shaped = shaper(Known(("b",))).start(WORDS, [0, MARK]).shape(np.zeros(7, np.float32))
    assert int(shaped.argmax()) == 1


def test_a_name_that_ends_in_no_letter_may_be_followed_by_anything():
    state = shaper(Known(("a(",))).start(WORDS, [MARK])
    state.advance(0)
    state.advance(3)
    assert (state.shape(np.zeros(7, np.float32)) == 0).all()
    state = shaper(Known(("a",))).start(WORDS, [MARK])
    state.advance(0)
    assert np.flatnonzero(state.shape(np.zeros(7, np.float32)) < 0).tolist() == [0, 1, 2]


def test_candidates_are_cut_as_they_are_written_behind_the_trigger():
    """Alone, this tokenizer writes `b` as a token with a space before it, as SentencePiece does."""

    def spaced(text):
        head = [9] if not text.startswith(TRIGGER) else []
        return [*head, *encode(text)]

    words = Vocabulary(TOKENS, frozenset({END}), spaced, "spaced")
    assert list(candidate_trie(("b", "ba"), words, TRIGGER).children) == [1]
    assert candidate_trie(("b",), words, TRIGGER).children[1].ends == "b"


def test_masks_and_shapers_agree_on_the_names():
    """A draw held to the tool's names by the constraint is one that the shaper could write."""
    tool = Known(("ab", "abb"))
    state = CodeCompletion(tool=tool, file="m.py", trigger=TRIGGER).compile(WORDS).start()
    state.advance(MARK)
    shaped = shaper(tool).start(WORDS, [MARK]).shape(np.zeros(7, np.float32))
    assert set(np.flatnonzero(shaped == 0)) <= set(np.flatnonzero(state.mask()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"threshold": -0.1}, "threshold must be 0 or more"), ({"trigger": ""}, "trigger must hold")],
    ids=["threshold", "trigger"],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InvalidArgument, match=message):
        shaper(Known(), **settings)


def test_a_model_without_the_trigger_is_refused_before_it_draws():
    with pytest.raises(InvalidArgument, match="must be one token"):
        shaper(Known(), trigger="ab(").suits(WORDS)
    shaper(Known()).suits(WORDS)


def test_a_project_that_is_not_there_is_told_before_anything_is_drawn(tmp_path):
    pytest.importorskip("jedi")
    where = str(tmp_path / "none")
    with pytest.raises(MissingFile, match="no folder"):
        shaper(where).suits(WORDS)
    with pytest.raises(MissingFile, match="no folder"):
        CodeCompletion(tool=where, file="m.py").compile(WORDS)
