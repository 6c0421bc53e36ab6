"""What happens inside the confined process: run the program, then its tests, and report.

Imported by `_zygote.py` before any program runs, so standard library only. Everything used after a
program has run is bound here first: a program that replaces `json.dumps` or `os.write` replaces its
own copy of the name, not ours.
"""

import ast
import builtins
import io
import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwright.verifiers._plain_data import decode, encode
else:  # a neighbour in the bare interpreter, which knows no packages
    from _plain_data import decode, encode

_dumps, _loads, _write, _read, _exit = json.dumps, json.loads, os.write, os.read, os._exit
_exec, _compile, _eval, _len = exec, compile, eval, len
_type: Callable[[Any], Any] = type
_fork, _waitpid, _kill, _monotonic, _pipe = os.fork, os.waitpid, os.kill, time.monotonic, os.pipe
_close, _sleep, _settrace, _setprofile = os.close, time.sleep, sys.settrace, sys.setprofile
_alive, _hard = os.WNOHANG, signal.SIGKILL
_str, _repr, _isinstance, _getattr = str, repr, isinstance, getattr
_Base, _Memory, _Exit = BaseException, MemoryError, SystemExit
_exceptions = {
    name: kind
    for name, kind in vars(builtins).items()
    if _isinstance(kind, type) and issubclass(kind, Exception)
}


def standard_streams() -> None:
    """Make the streams programs will use, once, in the warm parent: descriptors change, they stay.

    A check puts its own pipes under descriptors 0, 1 and 2.
    """
    sys.argv[:] = ["program.py"]
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.FileIO(descriptor, "w", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )
        for descriptor in (1, 2)
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def fresh_main() -> dict[str, Any]:
    """Return the namespace of a new `__main__`, put where the warm parent's own module was."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main.__dict__


def attempt(code: str, name: str, space: dict[str, Any]) -> dict[str, Any] | None:
    """Execute code; return None, or what went wrong as JSON-like data."""
    try:
        _exec(_compile(code, name, "exec", dont_inherit=True), space)
    except _Base as error:
        return explain(error, code, name)
    return None


def explain(error: BaseException, code: str, name: str) -> dict[str, Any]:
    """Describe an exception without trusting it: its class and text belong to the program."""
    kind = _type(error)
    if kind is _Memory:
        return {"type": "MemoryError", "message": "out of memory", "line": 0, "source": ""}
    try:
        text = _str(error)[:2000]
    except _Base:
        text = "(its text could not be read)"
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    if _isinstance(error, SyntaxError) and _isinstance(error.lineno, int):
        line = error.lineno
    if kind is _Exit:
        text = f"the program left by sys.exit({text})"
    lines = code.splitlines() if line > 0 else []
    source = lines[line - 1].strip()[:500] if line <= _len(lines) and line else ""
    name_of_kind = _type.__dict__["__name__"].__get__(kind)
    return {"type": name_of_kind, "message": text, "line": line, "source": source, "in": name}


def run_shared(job: dict[str, Any], report: int, orders: int) -> None:
    """Run program and tests in this one process; report with the token that comes with the tests.

    Neither tests nor token are in this process while the program's own top level runs.
    """
    space = fresh_main()
    problem = attempt(job["code"], "program.py", space)
    if problem is None:
        _write(report, b"loaded\n")
        text = b""
        while not text.endswith(b"\n"):
            piece = _read(orders, 1 << 16)
            if not piece:
                _exit(71)
            text += piece
        order = _loads(text)
        _settrace(None)
        _setprofile(None)
        answer = {}
        if job.get("forked"):
            answer["tests"] = [_in_fork(t, space, order["seconds"]) for t in order["tests"]]
        else:
            for test in order["tests"]:
                problem = attempt(test, "tests.py", space)
                if problem is not None:
                    break
            if problem is None and order["expression"]:
                try:
                    answer["value"] = encode(_eval(order["expression"], space))
                except _Base as error:
                    problem = explain(error, order["expression"], "<string>")
        answer["problem"] = problem
        answer["token"] = order["token"]
    else:
        answer = {"problem": problem}
    flush()
    send(report, answer)


def _in_fork(test: str, space: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run one test in a copy of the loaded program, with a deadline of its own."""
    reader, writer = _pipe()
    started = _monotonic()
    child = _fork()
    if child == 0:
        _close(reader)
        problem = attempt(test, "tests.py", space)
        flush()
        send(writer, {"problem": problem})
        _exit(0)
    _close(writer)
    status = None
    while _monotonic() - started < seconds:
        done, code = _waitpid(child, _alive)
        if done:
            status = code
            break
        _sleep(0.001)
    if status is None:
        _close(reader)
        try:
            _kill(child, _hard)
            _waitpid(child, 0)
        except OSError:  # level "limits" lets no process signal another: the sweep gets it
            pass
        return {"timeout": True}
    said = _read(reader, 1 << 16)
    _close(reader)
    ending = f"it ended before its end, with wait status {status}"
    try:
        return _loads(said) if said else {"problem": {"type": "EarlyExit", "message": ending}}
    except ValueError:
        return {"problem": {"type": "EarlyExit", "message": ending}}


def run_program(job: dict[str, Any], line: int) -> None:
    """Serve calls of one function over a socket; this process holds neither tests nor a token."""
    space = fresh_main()
    problem = attempt(job["code"], "program.py", space)
    entry = job["entry_point"]
    if problem is None and entry not in space:
        problem = {"type": "NameError", "message": f"the program defines no {entry!r}"}
    send(line, {"problem": problem})
    if problem is not None:
        return
    while (message := _receive(line)) is not None:
        try:
            value = space[entry](*decode(message["args"]), **decode(message["kwargs"]))
            answer = {"value": encode(value)}
        except _Base as error:
            answer = {"raised": explain(error, job["code"], "program.py")}
        flush()
        send(line, answer)


class ProgramStopped(BaseException):
    """The program's process ended, or spoke nonsense. Tests that catch Exception pass it on."""


def run_judge(job: dict[str, Any], report: int, line: int) -> None:
    """Run the tests; `entry_point` and `candidate` call the program in its own process."""
    hello = _receive(line)
    answer: dict[str, Any] = {"token": job["token"]}
    if hello is None:
        problem = {"type": "EarlyExit", "message": "the program ended while it was loaded"}
    else:
        problem = hello.get("problem")
    if problem is None:
        stopped: list[Any] = []

        def call(*args: object, **kwargs: object) -> object:
            try:
                send(line, {"args": encode(args), "kwargs": encode(kwargs)})
                said = _receive(line)
                if said is None:
                    raise ValueError
                raised = said.get("raised")
                value = None if raised else decode(said["value"])
            except TypeError:
                raise
            except Exception as error:
                stopped.append(True)
                raise ProgramStopped("the program ended during a call") from error
            if raised:
                kind = _exceptions.get(raised["type"], RuntimeError)
                text = raised["message"]
                try:
                    built = kind(text)
                except TypeError:  # UnicodeDecodeError and its like want more arguments
                    built = RuntimeError(f"{raised['type']}: {text}")
                raise built
            return value

        space = fresh_main()
        space[job["entry_point"]] = space["candidate"] = call
        for test in job["tests"]:
            problem = attempt(test, "tests.py", space)
            if problem is None and _calls_check(test) and "check" in space:
                problem = attempt("check(candidate)", "tests.py", space)
            if problem is None and stopped:
                problem = {"type": "ProgramStopped", "message": "the program ended during a call"}
            if problem is not None:
                break
    answer["problem"] = problem
    flush()
    send(report, answer)


def _calls_check(test: str) -> bool:
    """Whether tests only define `check(candidate)`, as HumanEval does, and leave calling to us."""
    body = ast.parse(test).body
    defines = any(_isinstance(n, ast.FunctionDef) and n.name == "check" for n in body)
    calls = any(
        _isinstance(n, ast.Expr)
        and _isinstance(n.value, ast.Call)
        and _getattr(n.value.func, "id", "") == "check"
        for n in body
    )
    return defines and not calls


def flush() -> None:
    """Push what the program printed; its streams may be closed, replaced or hostile."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except _Base:
            continue


def send(where: int, message: dict[str, Any]) -> None:
    """Write one line of JSON, all of it."""
    data = _dumps(message).encode() + b"\n"
    while data:
        data = data[_write(where, data) :]


_ahead: dict[int, bytes] = {}


def _receive(line: int) -> dict[str, Any] | None:
    """Read one line of JSON; None at the end."""
    text = _ahead.pop(line, b"")
    while b"\n" not in text:
        piece = _read(line, 1 << 16)
        if not piece or _len(text) > 64 << 20:
            return None
        text += piece
    first, _, rest = text.partition(b"\n")
    _ahead[line] = rest
    return _loads(first)
