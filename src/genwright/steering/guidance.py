"""Guide a model's draws by a small class-conditional model, read by Bayes' rule (GeDi).

A model that was trained to write texts of two classes after their control codes tells, for every
candidate of the next token at once, how likely the text so far with this token belongs to the
wanted class: two passes of the small model instead of one of a classifier for each candidate.
Choose it to lead a model towards an attribute (polite, on topic, no advertisement) that no rule
says; `learning/class_conditional.py` trains the guide. Several guides multiply: add them all.

Krause et al. 2020, "GeDi: Generative Discriminator Guided Sequence Generation", arXiv:2009.06367,
Sections 3.1 and 3.2. With r_c the sum of log P(x_i | x_<i, c) over the t - 1 tokens so far,

    P(c | x_t, x_<t) = softmax over c of (scale / t) (r_c + log P(x_t | x_<t, c)) + bias_c,

and the token is drawn in proportion to P_LM(x_t | x_<t) P(c | x_t, x_<t)^omega, from those that the
filter keeps: candidates by rising P(c | .) are struck while their guided mass is below `filter_p`,
unless P(c | .) is at least `target_p`. Ours: sampled where the paper takes the likeliest token with
a repetition penalty; struck tokens lose 10,000 nats, so that a constraint which allows nothing else
still finds them; tokens that together hold less than a millionth of the guided mass are left out
when it is summed; the two passes of all draws of a batch are one step of the guide.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, TokenModel, Vocabulary, method, require
from genwright.generators.language.local import LocalLM
from genwright.steering.guide_reader import Reader

STRUCK = 10_000.0
"""Nats that a struck token loses."""
UNCOUNTED = 1e-6
"""Guided mass that all tokens may hold together which are left out of the filter's sum."""
SCALE_FILE = "class_conditional.json"
"""Where training leaves the scale, in the guide's folder."""


@method(paper="arXiv:2009.06367")
@dataclass(frozen=True, kw_only=True)
class BayesGuide:
    """Raises the odds of tokens after which the text belongs to a class.

    Args:
        guide: class-conditional; its tokenizer must be that of the model it guides. A `LocalLM`, or
            any token model. While it guides, nothing else may draw from it.
        code: the text that its training set before texts of the wanted class.
        anti_code: the one of the other class.
        omega: how strongly; 0 leaves the odds alone. The paper's is 30.
        scale: alpha, learned in training; None takes what the guide's folder says, else 1.
        bias: of the wanted class, in nats.
        filter_p: guided mass that the filter may strike; 0 switches it off. The paper's is 0.8.
        target_p: probability of the class from which no token is struck. The paper's is 0.8.

    Raises:
        InvalidArgument: a number out of its range, or an empty code.
    """

    guide: LocalLM | TokenModel
    code: str
    anti_code: str
    omega: float = 30.0
    scale: float | None = None
    bias: float = 0.0
    filter_p: float = 0.8
    target_p: float = 0.8
    _readers: dict[TokenModel, Reader] = field(
        init=False, repr=False, compare=False, default_factory=dict[TokenModel, Reader]
    )

    def __post_init__(self) -> None:
        if not self.code or not self.anti_code:
            raise InvalidArgument("BayesGuide: code and anti_code must hold a character.")
        for name in ("omega", "bias") + (("scale",) if self.scale is not None else ()):
            value = float(getattr(self, name))
            if not isfinite(value) or (value < 0 and name != "bias"):
                raise InvalidArgument(f"BayesGuide: {name} must be 0 or more, got {value}.")
        if not (0 <= self.filter_p < 1 and 0 <= self.target_p <= 1):
            raise InvalidArgument(
                "BayesGuide: filter_p must be in [0, 1) and target_p in [0, 1], got "
                f"{self.filter_p} and {self.target_p}."
            )

    def suits(self, vocabulary: Vocabulary) -> None:
        """Refuse a model with another tokenizer, before anything is drawn.

        Raises:
            InvalidArgument: the tokens are not those of the guide.
        """
        own = _model(self.guide).vocabulary
        if own.fingerprint != vocabulary.fingerprint:
            raise InvalidArgument(
                f"BayesGuide: the guide {own.name or 'model'} has another tokenizer "
                f"({len(own)} tokens) than {vocabulary.name or 'the model'} ({len(vocabulary)}); "
                "take a guide that was trained from a model with the same tokenizer."
            )

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "GuideState":
        """Return the state of one draw that continues `prompt`; the guide reads the prompt too.

        Raises:
            InvalidArgument: the guide has another tokenizer, or cannot read so long a prompt.
        """
        self.suits(vocabulary)
        return GuideState(self, self.reader, prompt)

    def posterior(self, texts: Sequence[str]) -> list[float]:
        """Return the probability of the wanted class for each text: the guide as a classifier.

        Raises:
            InvalidArgument: an empty text.
        """
        reader, found = self.reader, list[float]()
        for text in texts:
            ids = reader.model.vocabulary.encode(text)
            if not ids:
                raise InvalidArgument("BayesGuide: an empty text belongs to no class.")
            wanted, other = (reader.begin(code, ids).score for code in _codes(self))
            z = self.learned_scale * (wanted - other) / len(ids) + self.bias
            found.append(float(1 / (1 + np.exp(-z))))
        return found

    @property
    def reader(self) -> Reader:
        """What reads for all draws that this guide shapes; the first use loads the model."""
        model = _model(self.guide)
        return self._readers.setdefault(model, Reader(model))

    @property
    def learned_scale(self) -> float:
        """The scale in use."""
        return _learned_scale(self.guide) if self.scale is None else self.scale


class GuideState:
    """The guide's side of one draw: the same text after each of the two codes."""

    def __init__(self, guide: BayesGuide, reader: Reader, prompt: Sequence[int]) -> None:
        self._guide, self._reader = guide, reader
        self._scale = guide.learned_scale
        self._pair = reader.pair(_codes(guide), prompt)
        self.length = len(prompt)
        self.room = reader.model.context - max(map(len, _codes(guide)))

    def shape(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32[V] log-probabilities of the model plus omega log P(class)."""
        torch: Any = require("torch", extra="lm", needed_by="BayesGuide")
        plain = torch.log_softmax(torch.from_numpy(np.asarray(logits, np.float32)), 0)
        log_class = torch.nn.functional.logsigmoid(self._class_logits())
        guided = plain + self._guide.omega * log_class
        struck = self._struck(torch.softmax(guided, 0).numpy(), log_class.exp().numpy())
        guided[torch.from_numpy(struck)] -= STRUCK
        return guided.numpy()

    def posterior(self) -> NDArray[np.float32]:
        """Return float32[V]: for every next token the probability of the wanted class."""
        return self._class_logits().sigmoid().numpy()

    def advance(self, token: int) -> None:
        """Move on by one token; the guide reads it when it is next asked.

        Raises:
            InvalidArgument: the guide cannot read so long a text.
        """
        if self.length >= self.room:
            raise InvalidArgument(
                f"BayesGuide: the guide reads at most {self.room} tokens after a code, and the "
                "draw is longer; lower max_new_tokens or shorten the prompt."
            )
        self._pair.pending.append(token)
        self.length += 1

    def _class_logits(self) -> Any:
        """Return float32[V]: log of the odds of the wanted class, for each next token."""
        torch: Any = require("torch", extra="lm", needed_by="BayesGuide")
        self._reader.read()
        pair = self._pair
        wanted, other = (torch.from_numpy(row) for row in pair.logits)
        known = (pair.scores[0] - pair.totals[0]) - (pair.scores[1] - pair.totals[1])
        rate = self._scale / (self.length + 1)
        return rate * (wanted - other) + (rate * float(known) + self._guide.bias)

    def _struck(
        self, mass: NDArray[np.float32], posterior: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that the filter strikes; never all of them."""
        low = posterior < self._guide.target_p
        if not self._guide.filter_p or not low.any():
            return np.zeros(len(mass), np.bool_)
        counted = np.flatnonzero(mass >= UNCOUNTED / len(mass))
        order = counted[np.argsort(posterior[counted], kind="stable")]
        reached = np.flatnonzero(np.cumsum(mass[order]) >= self._guide.filter_p)
        if not len(reached):  # the uncounted rest would have made it up
            return low & (posterior < posterior[order[-1]])
        return low & (posterior < posterior[order[reached[0]]])


def gedi_loss(wanted: Any, other: Any, scale: Any, weight: float) -> Any:
    """Return the loss of a batch of texts under their own code and under the other.

    Args:
        wanted: float[B]: mean log-probability of a token of each text after its own code.
        other: float[B]: after the other code.
        scale: alpha, above 0.
        weight: lambda: the share of the generative part; the rest is the discriminative one.

    Returns:
        lambda (-mean wanted) + (1 - lambda) (-mean log sigmoid(scale (wanted - other)))
    """
    import torch.nn.functional as F

    generative = -wanted.mean()
    discriminative = -F.logsigmoid(scale * (wanted - other)).mean()
    return weight * generative + (1 - weight) * discriminative


def _model(guide: LocalLM | TokenModel) -> TokenModel:
    return guide.token_model if isinstance(guide, LocalLM) else guide


def _codes(guide: BayesGuide) -> list[tuple[int, ...]]:
    encode = _model(guide.guide).vocabulary.encode
    return [tuple(encode(code)) for code in (guide.code, guide.anti_code)]


def _learned_scale(guide: LocalLM | TokenModel) -> float:
    """Return what training left in the guide's folder, or 1."""
    path = Path(guide.model) / SCALE_FILE if isinstance(guide, LocalLM) else None
    known = path is not None and path.is_file()
    return float(json.loads(path.read_text())["scale"]) if known else 1.0  # pyright: ignore
