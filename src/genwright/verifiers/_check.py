"""One check from its job to its answer, as the warm parent sees it.

Imported by `_zygote.py`, so standard library only.
"""

import _socket
import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwright.verifiers._watch import Watch
    from genwright.verifiers._zygote import Zygote
else:  # a neighbour in the bare interpreter, which knows no packages
    from _watch import Watch


def do(zygote: "Zygote", job: dict[str, Any]) -> dict[str, Any]:
    """Run one job to its end and say what happened."""
    work = zygote.fresh_folder()
    secret = {name: job.pop(name) for name in ("tests", "expression")} | {"seconds": job["seconds"]}
    job["wall"] = job["seconds"] * (1 + (len(secret["tests"]) if job["forked"] else 0))
    ends = {name: os.pipe() for name in ("report", "orders", "stdout", "stderr")}
    ours = {name: pair[0] for name, pair in ends.items()} | {"orders": ends["orders"][1]}
    theirs = {name: pair[1] for name, pair in ends.items()} | {"orders": ends["orders"][0]}
    theirs["stdin"] = _stdin(job.pop("stdin"), work)
    for end in ours.values():
        os.set_blocking(end, False)
    started = time.monotonic()
    if job["entry_point"] is None:
        orders, children = secret, [zygote.spawn(job, work, theirs, "shared", secret)]
        token = os.urandom(16).hex()  # after the fork: no child has it before it is sent
        orders = json.dumps(secret | {"token": token}).encode() + b"\n"
    else:
        left, right = _socket.socketpair()
        streams = {name: theirs[name] for name in ("stdin", "stdout", "stderr")}
        of_program = streams | {"line": left.fileno()}
        children = [zygote.spawn(job, work, of_program, "program", secret)]
        orders, token = b"", os.urandom(16).hex()
        of_judge = streams | {"line": right.fileno(), "report": theirs["report"]}
        whole = job | secret | {"token": token}
        children.append(zygote.spawn(whole, work, of_judge, "judge", {}))
        left.close()
        right.close()
    for end in theirs.values():
        os.close(end)
    watch = Watch(children, ours, orders)
    in_time = watch.until(started + job["wall"])
    watch.kill()
    zygote.sweep(children)
    watch.finish()
    reply = watch.reply(token, in_time=in_time)
    zygote.remove(work)
    return reply | {"seconds": time.monotonic() - started}


def _stdin(text: str, work: str) -> int:
    """Return a descriptor that reads the text; the file behind it has no name any more."""
    if not text:
        return os.open("/dev/null", os.O_RDONLY)
    path = os.path.join(work, ".stdin")
    with open(path, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
    descriptor = os.open(path, os.O_RDONLY)
    os.unlink(path)
    return descriptor
