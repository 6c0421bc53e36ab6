"""Let a completion tool finish the names that a trained model asks it for (ToolGen).

A model that has read functions with a trigger before every name that an editor would have offered
(`triggers.py`) learns to write the trigger itself. There a completion tool is asked about the file
as it stands, and the model chooses among the names that exist. Choose it for a model that was
trained so; `CodeCompletion` needs no training.

Wang et al. 2024, "Teaching Code LLMs to Use Autocompletion Tools in Repository-Level Code
Generation", arXiv:2401.06391, Section 3.3 (and the authors' code, where it says more). Where the
trigger was written with a probability of at least `threshold`, candidates become a trie of tokens,
as they are written after the trigger, and the walk goes on at a child. At a node that ends a
candidate and has children it stops if the mean probability of the tokens so far is above the mean
with the likeliest child. Two triggers never follow one another. Without candidates, or with
built-ins alone, the draw goes on freely.

Ours: sampling (at a temperature of 0 it is the paper's greedy walk); a finished candidate is not
gone on with (`name` to `names`), which the paper allows; refused tokens lose 10,000 nats, so that a
constraint which allows nothing else still finds them; a trigger that no row of logits chose (in the
prompt, or forced by a constraint) counts as certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, Vocabulary, method
from genwright.steering.completion import (
    NAME_BYTES,
    TRIGGER,
    CompletionTool,
    candidates,
    trigger_id,
)
from genwright.steering.jedi_tool import opened

REFUSED = 10_000.0
"""Nats that a refused token loses."""


@method(paper="arXiv:2401.06391")
@dataclass(frozen=True, kw_only=True)
class CompletionShaper:
    """Chooses among a tool's names wherever a draw writes the trigger.

    Args:
        tool: a `CompletionTool`, or the folder of a Python project, which Jedi then completes.
        file: path of the file that the draw is written into, within the project.
        before: the file's text up to the draw.
        after: the text that follows it. What the draw replaces must be in neither.
        threshold: the least probability of a trigger that is obeyed; above 1, none is. The paper's
            is 0.8.
        trigger: one token of the model.

    Raises:
        InvalidArgument: a threshold below 0, or no trigger.
    """

    tool: CompletionTool | str
    file: str
    before: str = ""
    after: str = ""
    threshold: float = 0.8
    trigger: str = TRIGGER

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise InvalidArgument(
                f"CompletionShaper: threshold must be 0 or more, got {self.threshold}."
            )
        if not self.trigger:
            raise InvalidArgument("CompletionShaper: trigger must hold a character.")

    def suits(self, vocabulary: Vocabulary) -> None:
        """Refuse a model without the trigger, and a tool that is not there, before any draw.

        Raises:
            InvalidArgument: the trigger is not one of its tokens.
            MissingFile: there is no such project.
            MissingExtra: Jedi is not installed.
        """
        trigger_id(vocabulary, self.trigger)
        opened(self.tool)

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "CompletionState":
        """Return the state of one draw; a trigger that ends the prompt counts.

        Raises:
            InvalidArgument: the trigger is not one token of the vocabulary.
        """
        return CompletionState(self, vocabulary, prompt)


@dataclass(slots=True)
class Node:
    """A node of the trie of candidates: the candidate that ends here, and the tokens that lead on.

    Args:
        ends: a candidate, or empty.
        children: by token.
    """

    ends: str = ""
    children: "dict[int, Node]" = field(default_factory=dict[int, "Node"])


def candidate_trie(names: Sequence[str], vocabulary: Vocabulary, trigger: str) -> Node:
    """Return names as a trie of the tokens that they are made of right after the trigger."""
    root, head = Node(), vocabulary.encode(trigger)
    for name in names:
        ids = vocabulary.encode(trigger + name)
        after = ids[len(head) :] if ids[: len(head)] == head else vocabulary.encode(name)
        node = root
        for token in after:
            node = node.children.setdefault(token, Node())
        node.ends = name
    return root


class CompletionState:
    """The shaper's side of one draw: its text without triggers, and where it is in a trie."""

    def __init__(
        self, shaper: CompletionShaper, vocabulary: Vocabulary, prompt: Sequence[int]
    ) -> None:
        self._tool = opened(shaper.tool)
        self._shaper, self._vocabulary = shaper, vocabulary
        self._trigger = trigger_id(vocabulary, shaper.trigger)
        self._text = bytearray()
        self._node: Node | None = None
        self._mass, self._steps = 0.0, 0
        self._odds: NDArray[np.float32] | None = None
        self._triggered = bool(len(prompt)) and prompt[-1] == self._trigger
        self._due = self._triggered and shaper.threshold <= 1

    def shape(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32[V]: the logits, refused tokens 10,000 below."""
        shaped = np.array(logits, np.float32)
        if self._triggered:
            shaped[self._trigger] -= REFUSED
        odds = np.exp(shaped - shaped.max())
        odds /= odds.sum()
        self._odds = odds
        node = self._place()
        if node is None:
            return shaped
        if not self._is_left(node, odds):
            children = list(node.children)
            kept = shaped[children]
            shaped -= REFUSED
            shaped[children] = kept
        elif node.ends.encode()[-1] in NAME_BYTES:
            shaped[_continuing(self._vocabulary)] -= REFUSED
        return shaped

    def advance(self, token: int) -> None:
        """Move on by one token."""
        node, odds = self._place(), self._odds
        chance = 1.0 if odds is None else float(odds[token])
        left = node is None or (odds is not None and self._is_left(node, odds))
        self._node = None if left or node is None else node.children.get(token)
        self._mass, self._steps = self._mass + chance, self._steps + 1
        if self._node is None:
            self._mass, self._steps = 0.0, 0
        self._triggered = token == self._trigger
        self._due = self._triggered and chance >= self._shaper.threshold
        if not self._triggered:
            self._text += self._vocabulary.tokens[token]
        self._odds = None

    def _place(self) -> Node | None:
        """Return the node that the draw stands at; the tool is asked when it is first needed."""
        if self._due:
            self._due = False
            shaper, text = self._shaper, self._text.decode("utf-8", "replace")
            names = candidates(self._tool, shaper.file, shaper.before + text, shaper.after)
            self._node = candidate_trie(names, self._vocabulary, shaper.trigger) if names else None
        return self._node

    def _is_left(self, node: Node, odds: NDArray[np.float32]) -> bool:
        """Whether the candidate that ends at a node is taken as it is."""
        if not node.ends or not node.children:
            return bool(node.ends)
        best = float(odds[list(node.children)].max())
        return self._mass / self._steps > (self._mass + best) / (self._steps + 1)


@lru_cache(8)
def _continuing(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Return bool[V]: the tokens that begin with a letter, digit or underscore."""
    return np.array([bool(t) and t[0] in NAME_BYTES for t in vocabulary.tokens], np.bool_)
