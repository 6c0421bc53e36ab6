"""A language model on this machine, by name or folder.

Choose it whenever the weights fit: draws can be steered, every log-probability is known, and draws
of one prompt share its prefill. Constructing one costs nothing; the weights are read at the first
use and shared by every `LocalLM` of this process that differs in settings only.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from genwright.core import (
    CompiledConstraint,
    Constraint,
    ConstraintError,
    DraftSource,
    InvalidArgument,
    LogitShaper,
    Memory,
    Sample,
    Samples,
    TokenModel,
    Vocabulary,
    method,
)
from genwright.generators.language.embedded import EMBEDDED

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Prompt = str | Sequence[Mapping[str, str]] | Sequence[int]
"""A text, chat messages, or token ids that are continued as they are."""


@method()
@dataclass(frozen=True, kw_only=True)
class LocalLM:
    """A causal language model on this machine.

    Args:
        model: `"smollm2-135m-instruct"` (embedded), a Hugging Face name, or a folder with a saved
            model or a `peft` adapter, which is merged into its base.
        system: system message of every chat; empty for the chat template's own default.
        template: the user's message, with `{prompt}` where the prompt goes.
        chat: apply the tokenizer's chat template; False continues the plain text.
        temperature: divides the logits; 0 takes the likeliest token.
        top_p: keep the likeliest tokens that together hold this mass.
        top_k: keep this many likeliest tokens; 0 keeps all.
        min_p: keep tokens at least this fraction as likely as the likeliest.
        max_new_tokens: the most tokens of a draw.
        stop: texts before which a draw is cut.
        logprobs: None, or how many likeliest alternatives to report per token.
        constraints: what every draw satisfies, and shapers that change its odds.
        mode: `"mask"` forbids tokens as it goes, which is fast, and bends the model's proportions
            where an allowed beginning seldom ends well; `"exact"` draws from the model conditioned
            on the constraints, from the first draw on; `"asap"` learns that from draw to draw, so
            its draws depend on those before them. The last two take a temperature above 0 and no
            top_p, top_k, min_p, stop or shapers. See docs/methods/asap.md.
        dtype: "float32", "bfloat16", "auto" (the faster of them on this machine), or "int8", for
            models of Llama's shape on a processor: 8-bit weights and inputs of products, faster in
            batches, at the price of some likelihood (perplexity on WikiText-2 35.1 for 34.1).
        threads: of the network; None leaves torch's own choice.
        batch: the most draws that run together.
        drafts: guesses tokens ahead, which makes draws faster where it guesses well and changes
            none of them; `Lookahead()`, or nothing. See docs/methods/lookahead.md.
        prefill: "exact"; or "predicted": the predictor reads the prompt, so that the first token
            comes sooner, at the price of some likelihood. See docs/methods/kv-prediction.md.
        predictor: the folder of a KV predictor of this model; `FitKVPredictor` makes it.
    """

    model: str = EMBEDDED
    system: str = ""
    template: str = "{prompt}"
    chat: bool = True
    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    constraints: tuple[Constraint | LogitShaper, ...] = field(default=())
    dtype: str = "auto"
    threads: int | None = None
    batch: int = 64
    mode: Literal["mask", "asap", "exact"] = "mask"
    drafts: DraftSource | None = None
    prefill: Literal["exact", "predicted"] = "exact"
    predictor: str = ""
    memory: Memory | None = field(default=None, repr=False, compare=False)
    """Where the modes that learn leave what they learnt; the runner gives the ledger."""

    def __post_init__(self) -> None:
        if "{prompt}" not in self.template:
            raise InvalidArgument(
                f"LocalLM: template must contain {{prompt}}, got {self.template!r}."
            )
        object.__setattr__(self, "stop", tuple(self.stop))  # task files bring lists
        object.__setattr__(self, "constraints", tuple(self.constraints))
        if self.mode not in ("mask", "asap", "exact"):
            raise InvalidArgument(f"mode must be one of mask, asap, exact, got {self.mode!r}.")
        if self.prefill not in (("exact", "predicted") if self.predictor else ("exact",)):
            raise InvalidArgument(
                "LocalLM: prefill must be exact, or predicted with a predictor, got "
                f"{self.prefill!r} and predictor {self.predictor!r}."
            )
        self._sampling()

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens; the first use loads the model."""
        return self._load().vocabulary

    @property
    def token_model(self) -> TokenModel:
        """What the engine drives; only one engine at a time may."""
        return self._load().model

    @property
    def engine(self) -> Any:
        """The `Engine` that draws from it, for requests of one's own."""
        return self._load().engine

    @property
    def context(self) -> int:
        """The most tokens that a prompt and its draw may hold together."""
        return self._load().model.context

    def steered(self, *constraints: Constraint | LogitShaper) -> Self:
        """Return this model with constraints and shapers added."""
        return replace(self, constraints=(*self.constraints, *constraints))

    def remembering(self, memory: Memory) -> Self:
        """Return this model with a memory for what `mode` learns."""
        return replace(self, memory=memory)

    def sample(self, prompt: Prompt, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return draws `first` to `first + n - 1` for one prompt.

        Each draw's `info` holds `tokens` (ids, without the end token), `finish_reason` ("stop": an
        end token, a stop text, or nothing but an end was allowed; "length"; "constraint": nothing
        was allowed; "cancelled"), `complete` (whether the draw ended where it may), `forced_tokens`
        (written without a choice), `masked_mass` (nats of probability that the constraints took
        away: the sum of -log of what they left at each choice), `seed`, and, if asked for,
        `token_logprobs` and `top_logprobs`. `logprob` covers the tokens and the end token if one
        was drawn; it is None if forced tokens at the end were never scored (set `logprobs`).

        The modes `asap` and `exact` add `legal_mass_bound` (at least the probability that the
        model satisfies the constraints) and, where it is known, `steered_logprob` (of the draw
        under the distribution it was drawn from); `exact` adds `prefixes` (met on the way) and
        `log_arrival` (log of an exponential time whose rate is that probability). Their
        `finish_reason` is "stop", "constraint" (no string of at most `max_new_tokens` tokens is
        allowed) or "exhausted" (too many beginnings came to nothing).
        """
        drawn = dict(self.stream(prompt, n, seed=seed, first=first))
        return Samples.of(drawn[k] for k in sorted(drawn))

    def stream(
        self, prompt: Prompt, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[str]]]:
        """Yield (index of the draw, draw) in the order of finishing; leaving early cancels."""
        ticket = self.submit(prompt, n, seed=seed, first=first)
        try:
            yield from ticket
        finally:
            trie = ticket.request.trie
            if self.memory is not None and trie.name:
                self.memory.remember(trie.name, trie.fresh_records())

    def _trie(self, ids: Sequence[int]) -> Any:
        loaded = self._load()
        constraints = [c for c in self.constraints if _masks(c)]
        compiled, _ = self._steering(loaded.vocabulary)
        return loaded.tries.find(ids, constraints, compiled, self._sampling(), self.memory)

    def submit(
        self, prompt: Prompt, n: int = 1, *, seed: int, first: int = 0, watch: bool = False
    ) -> Any:
        """Return a `Ticket`: the draws as they come, token by token with `watch`, cancellable."""
        from genwright.generators.language.request import Request

        loaded = self._load()
        compiled, shapers = self._steering(loaded.vocabulary)
        ids = self.encode(prompt)
        learnt = {} if self.mode == "mask" else {"trie": self._trie(ids).trie}
        return loaded.engine.submit(
            Request(
                prompt=ids,
                n=n,
                seed=seed,
                first=first,
                sampling=self._sampling(),
                constraints=compiled,
                shapers=shapers,
                drafts=self.drafts,
                watch=watch,
                prefill=self.prefill,
                **learnt,
            )
        )

    def score(self, prompt: Prompt, completions: Sequence[str]) -> list[float]:
        """Return the log-probability in nats of each completion, its end not included."""
        from genwright.generators.language.request import Request

        loaded = self._load()
        scripts = [loaded.vocabulary.encode(text) for text in completions]
        ticket = loaded.engine.submit(
            Request(
                prompt=self.encode(prompt), n=len(scripts), scripts=scripts, prefill=self.prefill
            )
        )
        scores = {index: draw.logprob for index, draw in ticket}
        return [float(scores[k] or 0.0) for k in range(len(scripts))]

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids that a draw for this prompt continues.

        Raises:
            InvalidArgument: chat messages without `chat`, or a tokenizer without a chat template.
        """
        if _are_ids(prompt):
            return list(prompt)
        tokenizer = self._load().tokenizer
        if not self.chat:
            if not isinstance(prompt, str):
                raise InvalidArgument("LocalLM: chat messages need chat=True, got chat=False.")
            ids = tokenizer(self.template.replace("{prompt}", prompt))["input_ids"]
            start = tokenizer.bos_token_id
            return list(ids) or [tokenizer.eos_token_id if start is None else start]
        if not tokenizer.chat_template:
            raise InvalidArgument(f"{self.model} has no chat template: set chat=False.")
        text = tokenizer.apply_chat_template(
            self._messages(prompt), tokenize=False, add_generation_prompt=True
        )
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def _messages(self, prompt: str | Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": self.template.replace("{prompt}", prompt)}]
        messages = [dict(message) for message in prompt]
        if not messages or any(not {"role", "content"} <= m.keys() for m in messages):
            raise InvalidArgument(
                f"LocalLM: a message needs role and content, got {list(prompt)!r:.200}."
            )
        if self.system and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self.system})
        return messages

    def _sampling(self) -> Any:
        from genwright.generators.language.sampling import Sampling

        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
            logprobs=self.logprobs,
            mode=self.mode,
        )

    def _load(self) -> Any:
        from genwright.generators.language.loading import load

        return load(self.model, self.dtype, self.threads, self.batch, self.predictor)

    def _steering(
        self, vocabulary: Vocabulary
    ) -> tuple[tuple[CompiledConstraint, ...], tuple[LogitShaper, ...]]:
        constraints = [c for c in self.constraints if _masks(c)]
        compiled = tuple(_compiled(c, vocabulary) for c in constraints)
        try:
            _check_length(compiled, self.max_new_tokens)
        except ConstraintError as error:
            names = " and ".join(type(c).__name__ for c in constraints)
            raise ConstraintError(f"{names}: {error}") from None
        shapers = tuple(s for s in self.constraints if not _masks(s))
        for shaper in shapers:
            getattr(shaper, "suits", _anything)(vocabulary)
        return compiled, shapers


def _are_ids(prompt: Prompt) -> "TypeIs[Sequence[int]]":
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], int)


def _anything(vocabulary: Vocabulary) -> None:
    """A shaper that does not say which models it suits suits all."""


def _masks(thing: Constraint | LogitShaper) -> "TypeIs[Constraint]":
    return hasattr(thing, "compile")


_cache: OrderedDict[tuple[object, str], tuple[Constraint, CompiledConstraint]] = OrderedDict()
_KEPT = 64


def _compiled(constraint: Constraint, vocabulary: Vocabulary) -> CompiledConstraint:
    """Compile once per constraint and vocabulary; the least recently used go first."""
    key: tuple[object, str]
    try:
        hash(constraint)
        key = constraint, vocabulary.fingerprint
    except TypeError:  # it holds a dict: known by identity, which the entry keeps from being reused
        key = id(constraint), vocabulary.fingerprint
    found = _cache.pop(key, None) or (constraint, constraint.compile(vocabulary))
    _cache[key] = found
    while len(_cache) > _KEPT:
        _cache.popitem(last=False)  # in one step: other threads compile too
    return found[1]


_checked: OrderedDict[tuple[object, ...], tuple[CompiledConstraint, ...]] = OrderedDict()


def _check_length(compiled: tuple[CompiledConstraint, ...], limit: int) -> None:
    """Refuse a limit that no draw can meet; looked at once, since it takes some milliseconds."""
    from genwright.generators.language.shortest import check_length

    key = (limit, *map(id, compiled))  # the entry keeps the ids from being reused
    if compiled and key not in _checked:
        check_length(compiled, limit)
        _checked[key] = compiled
        while len(_checked) > _KEPT:
            _checked.popitem(last=False)
