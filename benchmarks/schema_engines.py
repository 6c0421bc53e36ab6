"""Engines that hold a draw to a JSON Schema, behind one small interface, for the benchmarks.

An engine is made once for a vocabulary. It compiles a schema into `start`, which gives a `Walker`
at the empty draw. An engine that refuses a schema raises whatever it likes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genwright.core import Vocabulary
from genwright.steering.json_schema import JsonSchema


@dataclass(frozen=True, kw_only=True)
class Walker:
    """One draw: `mask` finds what may follow, `accept` takes a token, `finished` the end."""

    mask: Callable[[], Any]
    accept: Callable[[int], bool]
    finished: Callable[[], bool]


Start = Callable[[], Walker]
Engine = Callable[[Any], Start]


def ours(vocabulary: Vocabulary, **options: Any) -> Engine:
    """Genwright's `JsonSchema` with these options."""

    def compile_(schema: Any) -> Start:
        compiled = JsonSchema(schema=schema, **options).compile(vocabulary)

        def start() -> Walker:
            state = compiled.start()

            def accept(token: int) -> bool:
                allowed = bool(state.mask()[token])
                if allowed:
                    state.advance(token)
                return allowed

            return Walker(mask=state.mask, accept=accept, finished=lambda: state.accepting)

        return start

    return compile_


def xgrammar(vocabulary: Vocabulary) -> Engine:
    """XGrammar's compiler and matcher."""
    import xgrammar as xgr

    info = xgr.TokenizerInfo(list(vocabulary.tokens), stop_token_ids=sorted(vocabulary.eos))
    bits = xgr.allocate_token_bitmask(1, info.vocab_size)

    def compile_(schema: Any) -> Start:
        compiler = xgr.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        grammar = compiler.compile_json_schema(json.dumps(schema))

        def start() -> Walker:
            matcher = xgr.GrammarMatcher(grammar)
            return Walker(
                mask=partial(matcher.fill_next_token_bitmask, bits),
                accept=matcher.accept_token,
                finished=lambda: matcher.accept_token(min(vocabulary.eos)),
            )

        return start

    return compile_


def outlines(vocabulary: Vocabulary) -> Engine:
    """outlines-core: schema to regular expression, and its index over the vocabulary."""
    from outlines_core import Guide, Index
    from outlines_core import Vocabulary as Known
    from outlines_core.json_schema import build_regex_from_schema

    known: dict[bytes, list[int]] = {}
    for index, token in enumerate(vocabulary.tokens):
        if token and index not in vocabulary.eos:
            known.setdefault(token, []).append(index)
    words = Known(min(vocabulary.eos), known)
    bits = np.zeros(-(-len(vocabulary.tokens) // 32), np.int32)

    def compile_(schema: Any) -> Start:
        index = Index(build_regex_from_schema(json.dumps(schema)), words)

        def start() -> Walker:
            guide = Guide(index)

            def accept(token: int) -> bool:
                try:
                    guide.advance(token, return_tokens=False)
                except ValueError:
                    return False
                return True

            return Walker(
                mask=partial(guide.write_mask_into, bits.ctypes.data, bits.size, 4),
                accept=accept,
                finished=guide.is_finished,
            )

        return start

    return compile_
