"""The contrast is a hinge on mean losses; training by it moves comments, and prompts carry none."""

import pytest

pytest.importorskip("peft")
import torch
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example
from genwright.learning.causal import load_for_training, token_losses
from genwright.learning.contrastive import CommentContrastive, Contrast, comment_hinge, pairs
from genwright.learning.supervised import Supervised

NATS = st.floats(0, 4)
ROWS = [
    {"prompt": f"say {c}", "completion": f"# tell {c} to all of them\nprint('{c}' * 3)\n"}
    for c in "abcdefgh"
]


def learner(folder, margin=0.1, least=10, **settings):
    defaults = {"steps": 4, "batch": 4, "rank": 0, "learning_rate": 3e-3, "save_every": 2}
    training = Supervised(folder=str(folder), **(defaults | settings))
    return CommentContrastive(training=training, margin=margin, least=least)


@pytest.fixture
def base(tiny):
    return LocalLM(model=str(tiny), dtype="float32", temperature=0.0, max_new_tokens=5)


@given(NATS, NATS, st.floats(0, 1), st.integers(0, 20), st.integers(0, 20))
def test_the_hinge_is_what_lacks_to_the_margin(l_pos, l_neg, margin, length, least):
    pos, neg = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (l_pos, l_neg))
    found = comment_hinge(pos, neg, torch.tensor([length]), margin=margin, least=least)
    lacks = margin + l_pos - l_neg
    on = length > least and lacks > 0
    assert found.item() == pytest.approx(lacks if on else 0, abs=1e-12)
    if abs(lacks) > 1e-9:
        found.sum().backward()
        assert (pos.grad.item(), neg.grad.item()) == ((1, -1) if on else (0, 0))


@pytest.mark.parametrize(("margin", "least"), [(0.1, 10), (2.0, 10), (2.0, 9), (0.0, 0), (2.0, 12)])
def test_the_loss_of_a_batch_is_the_formula_row_by_row(tmp_path, margin, least):
    """Stripped programs have 10 and 12 tokens and an end; every token's loss is scripted."""
    batch = [Contrast([1], list(range(k + 9)), list(range(k + 1))) for k in (10, 12)]
    draw = torch.Generator().manual_seed(5)
    nats = {n: 3 * torch.rand(n, generator=draw) for n in (11, 13, 19, 21)}

    def read(examples):
        rows = [torch.full((len(e.completion),), i) for i, e in enumerate(examples)]
        return torch.cat([nats[len(e.completion)] for e in examples]), torch.cat(rows)

    found = learner(tmp_path, margin, least).loss(read, batch)
    hinges = [
        max(0.0, margin + nats[whole].mean().item() - nats[twin].mean().item())
        for whole, twin in ((19, 11), (21, 13))
        if twin - 1 > least
    ]
    likelihood = (nats[19].sum().item() + nats[21].sum().item()) / (19 + 21)
    assert found.item() == pytest.approx(likelihood + sum(hinges) / 2, abs=1e-6)


def test_a_pair_is_one_prompt_with_two_programs(tiny, tmp_path):
    _, tokenizer = load_for_training(str(tiny), rank=0, alpha=1)
    (pair,), _ = learner(tmp_path, template="<{prompt}>").encode(ROWS[:1], tokenizer)
    assert tokenizer.decode(pair.prompt) == "<say a>"
    assert tokenizer.decode(pair.completion[:-1]) == ROWS[0]["completion"]
    assert tokenizer.decode(pair.stripped[:-1]) == "print('a' * 3)\n"
    assert pair.completion[-1] == pair.stripped[-1] == tokenizer.eos_token_id
    assert pair.length == Example(pair.prompt, pair.completion).length


def test_only_completions_carry_loss_and_a_batch_is_its_examples_one_by_one(tiny):
    """Within what bfloat16 rounds, where the machine computes in it."""
    model, _ = load_for_training(str(tiny), rank=0, alpha=1)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10)  # tied to the head: losses far apart
    batch = [Example([1, 2, 3], [4, 5]), Example([6], [7, 8, 9])]
    nats_N, row_N = token_losses(model, batch, pad=0)
    assert row_N.tolist() == [0, 0, 1, 1, 1]
    alone = []
    for example in batch:
        ids = torch.tensor([example.prompt + example.completion])
        nats = -model(input_ids=ids).logits[0].log_softmax(-1)
        first = len(example.prompt) - 1
        alone += [nats[first + i, token].item() for i, token in enumerate(example.completion)]
    assert nats_N.tolist() == pytest.approx(alone, rel=0.02)
    assert max(alone) > 1.2 * min(alone)


def gap(model, rows):
    """Return the mean of l_neg - l_pos."""
    found = []
    for row in pairs(rows)[0]:
        texts = [row["completion"], row["stripped"]]
        scores = model.score(row["prompt"], texts)
        found.append(scores[0] / len(texts[0]) - scores[1] / len(texts[1]))
    return sum(found) / len(found)


def test_the_contrast_widens_the_gap_beyond_what_plain_training_does(base, tmp_path):
    contrast = learner(tmp_path / "a", margin=5.0, steps=12)
    plain = learner(tmp_path / "b", margin=0.0, steps=12).training
    ways = [way.fit(base, ROWS, seed=1) for way in (contrast, plain)]
    assert ways[0].model == str(tmp_path / "a")
    assert gap(ways[0], ROWS) > gap(ways[1], ROWS) + 0.05
    card = (tmp_path / "a" / "README.md").read_text()
    assert "`comment_contrastive`" in card
    assert "- margin: `5.0`" in card


def test_a_training_is_named_by_its_margin_and_not_by_its_folder(base, tmp_path):
    told = []
    learner(tmp_path / "out").fit(base, ROWS, seed=1)
    learner(tmp_path / "out", save_every=3).fit(base, ROWS, seed=1, watch=lambda *t: told.append(t))
    assert told == []  # finished before
    learner(tmp_path / "out", margin=0.2).fit(base, ROWS, seed=1, watch=lambda *t: told.append(t))
    assert [step for name, step, _ in told if name == "loss"] == [0, 1, 2, 3]


def test_rows_that_cannot_be_paired_are_left_out_and_counted(base, tmp_path):
    odd = [
        {"prompt": "p", "completion": "x = '# none'\n"},
        {"prompt": "p", "completion": "no python # at all"},
        {"prompt": "p", "completion": f"x = {'1 + ' * 99}1  # long\n"},
        {"prompt": "p", "completion": f"x = 1  # {'long ' * 60}\n"},
    ]
    told = []
    learner(tmp_path / "out", steps=1).fit(
        base, [*ROWS, *odd], seed=0, watch=lambda *t: told.append(t)
    )
    assert told[:-1] == [
        ("rows without comments", 0, 1),
        ("rows that are no Python", 0, 1),
        ("rows left out", 0, 2),
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"prompt": "p", "completion": "x = 1\n"}], "none of 1 completions"),
        ([], "none of 0 completions"),
        ([{"prompt": "p"}], "row 0: a training row needs"),
        ([{"prompt": "p", "completion": f"x = {'1 + ' * 99}1  # long"}], "of at most 256 tokens"),
    ],
    ids=["no comment", "no rows", "no completion", "too long"],
)
def test_nothing_to_contrast_is_an_error(base, tmp_path, rows, told):
    with pytest.raises(InvalidArgument, match=told):
        learner(tmp_path / "out").fit(base, rows, seed=0)


@pytest.mark.parametrize("settings", [{"margin": -0.1}, {"least": -1}], ids=["margin", "least"])
def test_settings_below_zero_are_refused(tmp_path, settings):
    with pytest.raises(InvalidArgument, match="0 or more"):
        learner(tmp_path, **settings)
