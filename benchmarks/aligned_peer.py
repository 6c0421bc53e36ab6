"""genlm-control over a survey, in its own environment: adaptive weighted rejection within SMC.

Reads a language from the standard input (every prefix, the probabilities of the tokens that may
follow it, and whether they end), and prints one JSON list a line for each particle filter that was
run: [prefixes asked so far, {string: weight}]. What the language does not allow is one token more.

    python benchmarks/aligned_peer.py PARTICLES RUNS SEED < survey.json
"""

import asyncio
import json
import math
import sys

import numpy as np
from genlm.control import AWRS, EOS, Potential

OTHER = -1
MOST_TOKENS = 200


class Model(Potential):
    """The language model, asked prefix by prefix; each prefix is counted once, as it caches."""

    def __init__(self, rows, vocabulary):
        super().__init__(vocabulary)
        self.rows, self.asked = rows, set()

    def _step(self, context):
        row = self.rows.get(tuple(context))
        self.asked.add(tuple(context))
        known = {OTHER: 1.0} if row is None else dict(zip(row["tokens"], row["p"], strict=True))
        known[OTHER] = max(0.0, 1.0 - sum(known.values()) - (row or {"end": 0})["end"])
        known[EOS] = 0.0 if row is None else row["end"]
        return known

    async def prefix(self, context):
        """Return the log-probability of a beginning."""
        logp = 0.0
        for i, token in enumerate(context):
            p = self._step(context[:i]).get(token, 0.0)
            if p <= 0:
                return -math.inf
            logp += math.log(p)
        return logp

    async def complete(self, context):
        """Return the log-probability of a whole string."""
        end = self._step(context)[EOS]
        return await self.prefix(context) + (math.log(end) if end > 0 else -math.inf)

    async def logw_next(self, context):
        """Return the log-probability of each next token."""
        known = self._step(context)
        odds = np.array([known.get(token, 0.0) for token in self.vocab_eos])
        with np.errstate(divide="ignore"):
            return self.make_lazy_weights(np.log(odds))


class Language(Potential):
    """Whether a token string is, or begins, a string of the language."""

    def __init__(self, rows, vocabulary):
        super().__init__(vocabulary)
        self.rows = rows

    async def prefix(self, context):
        """Return 0 for a beginning of the language, else minus infinity."""
        return 0.0 if tuple(context) in self.rows else -math.inf

    async def complete(self, context):
        """Return 0 for a string of the language, else minus infinity."""
        row = self.rows.get(tuple(context))
        return 0.0 if row is not None and row["end"] > 0 else -math.inf


async def main(particles, runs, seed):
    """Run the filters."""
    rows = {tuple(row["path"]): row for row in json.load(sys.stdin)}
    vocabulary = [*sorted({token for row in rows.values() for token in row["tokens"]}), OTHER]
    model, language = Model(rows, vocabulary), Language(rows, vocabulary)
    sampler = AWRS(model, language, seed=seed)
    np.random.seed(seed)  # noqa: NPY002  # the library's resampling draws from it
    for _ in range(runs):
        found = await sampler.smc(particles, ess_threshold=0.5, max_tokens=MOST_TOKENS)
        weights = {}
        for context, weight in zip(found.contexts, found.normalized_weights, strict=True):
            if weight > 0 and context and context[-1] == EOS:
                text = ",".join(map(str, context[:-1]))
                weights[text] = weights.get(text, 0.0) + float(weight)
        print(json.dumps([len(model.asked), weights]), flush=True)
    await sampler.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
