"""What is read out of an answer, and what is not an answer at all."""

import pytest

from genwright.core import Cost
from genwright.generators.language.completion import read_completion


def answer(usage=None, content="a", logprobs=None, **message):
    said = {"role": "assistant", "content": content} | message
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    if logprobs is not None:
        choice["logprobs"] = {"content": [{"token": "t", "logprob": p} for p in logprobs]}
    return {"choices": [choice]} | ({} if usage is None else {"usage": usage})


def test_usage_is_the_cost():
    sample = read_completion(answer({"prompt_tokens": 3, "completion_tokens": 2}), chat=True)
    assert (sample.value, sample.cost) == ("a", Cost(draws=1, prompt_tokens=3, new_tokens=2))
    assert sample.info == {"finish_reason": "stop"}


def test_without_usage_tokens_are_counted_from_logprobs_and_it_says_so():
    sample = read_completion(answer(logprobs=[-1.0, -0.5]), chat=True)
    assert (sample.logprob, sample.cost) == (-1.5, Cost(draws=1, new_tokens=2))
    assert sample.info["unmetered"] is True
    assert read_completion(answer(), chat=True).cost == Cost(draws=1)


@pytest.mark.parametrize("bad", [None, float("-inf"), float("nan"), "-1"])
def test_one_unknown_logprob_leaves_the_sum_unknown(bad):
    assert read_completion(answer(logprobs=[-1.0, bad]), chat=True).logprob is None


def test_a_refusal_is_an_empty_draw_that_says_so():
    sample = read_completion(answer(content=None, refusal="I cannot."), chat=True)
    assert (sample.value, sample.info["refusal"]) == ("", "I cannot.")


@pytest.mark.parametrize(
    "nonsense",
    [
        [],
        {},
        {"choices": []},
        {"choices": ["a"]},
        {"choices": [{"message": {}}]},
        answer(content=7),
        answer({"prompt_tokens": -1, "completion_tokens": 2}),
        answer({"prompt_tokens": "3", "completion_tokens": 2}),
        answer("much"),
    ],
)
def test_what_is_not_a_completion_is_refused(nonsense):
    with pytest.raises((AttributeError, KeyError, IndexError, TypeError, ValueError)):
        read_completion(nonsense, chat=True)
