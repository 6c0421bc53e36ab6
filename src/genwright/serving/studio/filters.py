"""Filters that people fill in, made once and compiled in the background.

A filter may take long to compile (one by meaning reads a model of its own), and a page asks for the
same ones at every key. So each is compiled once, in a thread that goes on when who asked does not
wait any longer: who asks again soon finds it ready.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from genwright.core import CompiledConstraint, ConstraintError, UserError, Vocabulary
from genwright.serving.faults import ApiError
from genwright.serving.service import COMPILING
from genwright.serving.studio.forms import Forms, made_from

KEPT = 64
"""Compiled filters, the last used ones."""


class Filters:
    """Compiled filters by what was filled in.

    Args:
        forms: what may be asked for.
        vocabulary: what they are compiled for.
    """

    def __init__(self, forms: Forms, vocabulary: Vocabulary) -> None:
        self.forms, self.vocabulary = forms, vocabulary
        self._kept: OrderedDict[str, Future[CompiledConstraint]] = OrderedDict()

    async def compiled(self, table: Mapping[str, Any], *, seconds: float) -> CompiledConstraint:
        """Return a filter, ready for use.

        Args:
            table: what was filled in.
            seconds: how long to wait for it.

        Raises:
            ApiError: it is filled in wrongly, allows nothing, or is not ready yet (503).
        """
        key = json.dumps(table, sort_keys=True)
        future = self._kept.pop(key, None) or self._begin(table)
        self._kept[key] = future
        self._drop_old()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            raise ApiError(
                503,
                f"It is still being prepared, for more than {seconds:g} s now. It will go on "
                "in the background: try again in a moment, or switch the filter off.",
                code="preparing",
                retry_after=5,
            ) from None
        except (UserError, ValueError, RecursionError) as error:
            raise ApiError(400, str(error), code="invalid_filter") from error

    def _begin(self, table: Mapping[str, Any]) -> Future[CompiledConstraint]:
        under_way = sum(not future.done() for future in self._kept.values())
        if under_way >= COMPILING:
            raise ApiError(
                429,
                f"{under_way} filters are being prepared already. Try again in a moment.",
                code="preparing",
                retry_after=5,
            )
        future: Future[CompiledConstraint] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it
        threading.Thread(
            target=self._compile, args=(table, future), name="genwright-filter", daemon=True
        ).start()
        return future

    def _compile(self, table: Mapping[str, Any], future: "Future[CompiledConstraint]") -> None:
        try:
            made = made_from(self.forms, table).compile(self.vocabulary)
            if not made.start().mask().any():
                raise ConstraintError(f"{table['method']}: no token of the model may come first.")
            future.set_result(made)
        except BaseException as error:
            future.set_exception(error)

    def _drop_old(self) -> None:
        done = [key for key, future in self._kept.items() if future.done()]
        for key in done[: max(0, len(self._kept) - KEPT)]:
            del self._kept[key]
