"""What tokens were worth: log-probabilities of the model itself, before anything steers it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genwright.generators.language.draw import Draw
from genwright.generators.language.sampling import totals


class Rows:
    """The logits of one step, float32 [rows, V], and what it takes to normalise each row."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.totals = totals(logits)

    def logprobs(self, rows: Sequence[int], tokens: Sequence[int]) -> list[float]:
        """Return the log-probability of one token a row, in nats."""
        at = torch.tensor(rows)
        return (self.logits[at, torch.tensor(tokens)] - self.totals[at]).tolist()

    def score(self, draw: Draw, token: int, row: int) -> None:
        """Give a draw the log-probability of a token that it wrote after this row."""
        draw.logprobs.append(float(self.logits[row, token] - self.totals[row]))
        if draw.sampling.logprobs:
            self.note_top(draw, row)

    def score_forced(self, draw: Draw, row: int) -> None:
        """Score pending tokens that were chosen without logits; `row` follows the first pending."""
        for j, token in enumerate(draw.pending[1:]):
            if len(draw.logprobs) < len(draw.tokens):
                self.score(draw, token, row + j)

    def score_end(self, draw: Draw, row: int) -> None:
        """Score the end of a draw that ended because nothing but an end was allowed."""
        if draw.end_logprob is None and draw.states and draw.cut is None:
            ends = sorted(draw.vocabulary.eos)
            draw.end_logprob = float(self.logits[row, ends].logsumexp(0) - self.totals[row])

    def note_top(self, draw: Draw, row: int) -> None:
        """Note the likeliest tokens of a row, as many as the draw was asked for."""
        values, ids = (self.logits[row] - self.totals[row]).topk(draw.sampling.logprobs or 0)
        draw.tops.append(list(zip(ids.tolist(), values.tolist(), strict=True)))


def wants_scores(draw: Draw) -> bool:
    """Whether a finished draw must be read once more to score what it wrote last."""
    wanted = draw.scored_only or draw.sampling.logprobs is not None
    unscored = len(draw.logprobs) < len(draw.tokens)
    ends = draw.finish == "stop" and draw.end_logprob is None and bool(draw.states)
    return bool(draw.pending) and wanted and (unscored or ends)
