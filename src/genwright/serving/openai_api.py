"""What a request of the OpenAI API may hold: the bodies of chat completions and of completions.

Types are strict (a seed of "5" is an error), ranges are the API's own where the engine has no
narrower one, null stands for "not given", and fields that nobody knows are ignored, as servers of
this API do. A field that the API knows and this server does not honour is refused unless it asks
for nothing: an answer never silently leaves out what was asked for.

The public OpenAI API reference ("Chat Completions", "Completions"). Ours: `top_k`, `min_p` and
`steering_mode`, and the names of vLLM for constraints (`structured_outputs`, `guided_*`).
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_DRAWS = 128
"""The largest `n`, as in the OpenAI API."""

MOST_ALTERNATIVES = 20
"""The largest `top_logprobs`, as in the OpenAI API."""

MOST_ITEMS = 4096
"""Messages, parts of one, prompts, or words to choose from."""

MOST_STOPS = 16
"""Texts that end a draw: each is looked for after every token."""


def _sendable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is no character") from None
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


Text = Annotated[str, AfterValidator(_sendable)]
Stop = Annotated[Text, AfterValidator(_not_empty)]


T = TypeVar("T")
Some = Annotated[list[T], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)]
"""A list that is read no further than its first mistake, so that a long wrong one costs little."""

Ids = Annotated[list[int], Field(min_length=1, fail_fast=True)]
"""Token ids: as many as a body holds; what is too long for the model is told both numbers."""


class Body(BaseModel):
    """Strict types, unknown fields ignored, no numbers that are not finite."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class StreamOptions(Body):
    """What a stream holds besides the answer."""

    include_usage: bool | None = Field(None, description="send a last chunk with the usage")


class NamedSchema(Body):
    """A JSON Schema with a name."""

    name: Text = "answer"
    schema_: dict[str, Any] | bool = Field({}, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """The form an answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class StructuredOutputs(Body):
    """One of vLLM's ways to hold an answer to a form."""

    regex: Text | None = None
    grammar: Text | None = Field(None, description="in the Lark dialect of llguidance")
    json_: dict[str, Any] | bool | Text | None = Field(None, alias="json")
    choice: Some[Text] | None = None


class Settings(Body):
    """What chat completions and completions have in common."""

    model: Text
    n: int | None = Field(None, ge=1, le=MOST_DRAWS)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0 or -1 keeps all tokens")
    min_p: float | None = Field(None, ge=0, lt=1)
    steering_mode: Literal["mask", "asap", "exact"] | None = Field(
        None, description="how the answer is held to its form; exact: in the model's proportions"
    )
    max_tokens: int | None = Field(None, ge=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS, fail_fast=True)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_regex: Text | None = None
    guided_grammar: Text | None = None
    guided_json: dict[str, Any] | bool | Text | None = None
    guided_choice: Some[Text] | None = None
    frequency_penalty: float | None = Field(None, ge=0, le=0, description="not supported")
    presence_penalty: float | None = Field(None, ge=0, le=0, description="not supported")
    logit_bias: dict[str, float] | None = Field(None, max_length=0, description="not supported")

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a draw."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class Part(Body):
    """A part of a message."""

    type: Literal["text"]
    text: Text


class Message(Body):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Some[Part] | None = None

    def plain(self) -> dict[str, str]:
        """Return role and text, as chat templates want them."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class ChatRequest(Settings):
    """The body of POST /v1/chat/completions."""

    messages: Some[Message]
    max_completion_tokens: int | None = Field(None, ge=1, description="instead of max_tokens")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    tools: list[Any] | None = Field(None, max_length=0, description="not supported")
    functions: list[Any] | None = Field(None, max_length=0, description="not supported")


class CompletionRequest(Settings):
    """The body of POST /v1/completions."""

    prompt: Text | Some[Text] | Ids | Some[Ids]
    logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    echo: Literal[False] | None = Field(None, description="not supported")
    suffix: Literal[""] | None = Field(None, description="not supported")
    best_of: int | None = Field(None, ge=1, le=1, description="not supported")

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, one or many, each as text or as token ids."""
        given = self.prompt
        if isinstance(given, str):
            return [given]
        if given and isinstance(given[0], int):
            return [given]  # pyright: ignore[reportReturnType]  # pydantic lets no list be mixed
        return given  # pyright: ignore[reportReturnType]
