"""The trie of what was drawn: every window is in it, it stays small, and the old fades."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.generators.language.draft_trie import BEGIN, DraftTrie, PromptRuns, Writer

DRAWS = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=5)


def windows(draws, branch):
    """Count, by brute force, every run of tokens up to `branch` + 1 with the beginning's mark."""
    found = Counter()
    for draw in draws:
        whole = (BEGIN, *draw)
        for i in range(len(whole)):
            for n in range(1, branch + 2):
                if i + n <= len(whole):
                    found[whole[i : i + n]] += 1
    return found


@given(DRAWS, st.integers(2, 5))
def test_it_holds_every_window_as_often_as_it_was_drawn(draws, branch):
    trie = DraftTrie(branch=branch)
    for draw in draws:
        trie.put(draw)
    found, expected = trie.continuations(()), windows(draws, branch)
    assert {run: round(weight) for run, weight in found.items()} == expected
    assert trie.nodes == len(expected)


@given(DRAWS)
def test_continuations_are_the_runs_below_a_suffix(draws):
    trie = DraftTrie(branch=4)
    for draw in draws:
        trie.put(draw)
    whole = trie.continuations(())
    below = {run[2:]: w for run, w in whole.items() if len(run) > 2 and run[:2] == (1, 2)}
    assert trie.continuations((1, 2)) == below


def test_a_writer_stands_at_the_runs_that_end_a_draw():
    trie = DraftTrie(branch=3)
    writer = Writer(trie)
    for token in (5, 6, 7, 8):
        writer.write(token)
    trie.put([6, 7, 8, 9])
    following = [sorted(run.next or ()) for run in writer.runs]
    assert following == [[], [9], [9], [9]]  # 5678 ends a window; 678, 78 and 8 were followed by 9


def test_it_stays_within_its_bound_and_keeps_what_is_drawn_often():
    """After 1e5 tokens, most of them noise that is written once."""
    trie, rng = DraftTrie(branch=4, max_nodes=5_000), np.random.default_rng(0)
    most = 0
    for _ in range(1_000):
        noise = rng.integers(100, 50_000, 90).tolist()
        trie.put([1, 2, 3, 4, 5, *noise, 7, 8, 9, 7, 8])
        most = max(most, trie.nodes)
    assert most <= 5_000
    assert trie.prunings > 10
    assert (3, 4, 5) in trie.continuations((1, 2))
    assert trie.nodes == len(trie.continuations(()))


def test_what_was_drawn_lately_weighs_more():
    trie = DraftTrie(branch=2, max_nodes=300)
    trie.put([1, 2])
    for _ in range(20):
        trie.put([9] * 5)
    trie.put([1, 3])
    after = trie.continuations((1,))
    assert after[2,] == pytest.approx(2 ** (-123 * 3 / 300), rel=0.02)
    assert after[3,] == pytest.approx(1.0)


def test_a_draw_that_is_being_written_survives_a_pruning():
    trie = DraftTrie(branch=2, max_nodes=60)
    writer, other = Writer(trie), Writer(trie)
    for token in range(1, 200):
        writer.write(token)
        other.write(token + 1000)
    assert trie.nodes <= 60
    assert trie.nodes == len(trie.continuations(()))
    assert 0.5 < trie.continuations((198,))[199,] < 1


def test_a_draw_that_paused_while_its_runs_were_dropped_goes_on_from_what_is_left():
    trie = DraftTrie(branch=2, max_nodes=60)
    writer = Writer(trie)
    writer.write(1)
    trie.put(range(100, 200))
    assert (1,) not in trie.continuations(())
    writer.write(2)
    writer.write(3)
    assert trie.nodes == len(trie.continuations(()))
    assert (3,) in trie.continuations((2,))


@settings(max_examples=20)
@given(DRAWS)
def test_it_is_saved_and_read_back(tmp_path_factory, draws):
    trie = DraftTrie(branch=3, max_nodes=900, vocabulary="letters")
    for draw in draws:
        trie.put(draw)
    path = tmp_path_factory.mktemp("trie") / "trie.npz"
    trie.save(path)
    again = DraftTrie.load(path)
    assert again.continuations(()) == trie.continuations(())
    kept = (again.branch, again.max_nodes, again.vocabulary, again.nodes)
    assert kept == (3, 900, "letters", trie.nodes)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="no saved trie"):
        DraftTrie.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(InvalidArgument, match="no saved trie"):
        DraftTrie.load(tmp_path / "text.npz")


@pytest.mark.parametrize("bad", [{"branch": 1}, {"branch": 12, "max_nodes": 51}])
def test_a_trie_without_room_is_refused(bad):
    with pytest.raises(InvalidArgument, match="DraftTrie"):
        DraftTrie(**bad)


@given(st.lists(st.integers(0, 2), max_size=14), st.lists(st.integers(0, 2), max_size=6))
def test_a_prompt_is_searched_as_by_hand(prompt, tail):
    by_hand = []
    for end in range(1, len(prompt)):
        length = 0
        while (
            length < min(4, end, len(tail))
            and prompt[end - 1 - length] == tail[len(tail) - 1 - length]
        ):
            length += 1
        if length:
            by_hand.append((length, end))
    assert PromptRuns(prompt, 4).find(tail) == by_hand
