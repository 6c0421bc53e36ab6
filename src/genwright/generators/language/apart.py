"""Heavy work on a thread that ends with it, so that its OpenMP team ends too.

OpenMP keeps a team of threads for every thread that ever computed in parallel, for as long as that
thread lives. Once the teams together outnumber the cores, no team waits for work awake any more,
and waking one takes longer than most operations of a decoding step: with weights loaded by the
caller's thread and decoded by the engine's, 64 draws on two cores made 440 tokens a second; loaded
apart, 940.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[threading.Event], T]) -> T:
    """Run `work` on a thread of its own, and return what it returns or raise what it raises.

    Args:
        work: is given an event; once it is set, the caller was interrupted, and the work should
            end soon, whatever it then returns.

    Raises:
        KeyboardInterrupt: as in the caller's thread, after the work has ended.
    """
    stop, result = threading.Event(), Future[T]()

    def run() -> None:
        try:
            result.set_result(work(stop))
        except BaseException as error:  # handed to the caller
            result.set_exception(error)

    thread = threading.Thread(target=run, name="genwright-apart")
    try:
        thread.start()
        thread.join()
    except BaseException:
        stop.set()
        if thread.ident is not None:  # it had started
            thread.join()
        raise
    return result.result()
