"""Hostile programs, each an attack on one property, with the verdict it must get.

`HARM`: programs run by themselves; (name, code, statuses it may end with, what it must have
printed). A program that prints "refused" tried and was stopped; one that prints "done" had its way,
which only ever stands here where its way leads nowhere. The test adds what the program cannot see:
that a canary file, a canary secret, the machine's processes and folders are as they were.

`CHEATS`: wrong programs that want to pass a test of `f(1) == 2`.

`{canary}`, `{outside}`, `{port}`, `{parent}` are filled in by the test.
"""

REFUSE = """
def attempt(attack):
    try:
        print(repr(attack()))
    except Exception as error:
        print("refused", type(error).__name__)
"""

HARM = [
    # processes
    ("fork bomb", "import os\nwhile True:\n    os.fork()", "timeout error", ""),
    ("fork bomb that forgives errors", "import os\nwhile True:\n    try:\n        os.fork()\n"
     "    except OSError:\n        pass", "timeout", ""),
    ("thread bomb", "import threading, time\nwhile True:\n"
     "    threading.Thread(target=time.sleep, args=(9,)).start()", "error", ""),
    ("ignored SIGTERM", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
     "while True: pass", "timeout", ""),
    ("ignored SIGXCPU", "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
     "while True: pass", "timeout", ""),
    ("every signal ignored", "import signal, time\nfor s in range(1, 65):\n    try:\n"
     "        signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\n"
     "time.sleep(99)", "timeout", ""),
    ("stopping itself", "import os, signal, time\nos.kill(os.getpid(), signal.SIGSTOP)\n"
     "time.sleep(99)", "timeout", ""),
    ("killing its group", "import os, signal\nos.kill(0, signal.SIGKILL)\nprint('alive')",
     "ok killed", ""),
    ("killing everybody", REFUSE + "import os\nattempt(lambda: os.kill(-1, 9))", "ok", "refused"),
    ("killing its parent", REFUSE + "import os\nattempt(lambda: os.kill({parent}, 9))", "ok",
     "refused"),
    ("killing getppid", "import os\ntry:\n    os.kill(os.getppid() or 10**6, 9)\n"
     "except OSError:\n    print('refused')", "ok", "refused"),
    ("daemon by double fork", "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
     "    if os.fork() == 0:\n        time.sleep(99)\n    os._exit(0)", "ok", ""),
    ("busy children left behind", "import os\nfor _ in range(4):\n    if os.fork() == 0:\n"
     "        while True: pass", "ok", ""),
    ("children that keep the pipes", "import os, time\nif os.fork() == 0:\n    time.sleep(99)\n"
     "os._exit(0)", "error", ""),
    ("a thread that never ends", "import threading, time\n"
     "threading.Thread(target=time.sleep, args=(99,)).start()", "ok", ""),
    ("starting a shell", REFUSE + "import subprocess\n"
     "attempt(lambda: subprocess.run(['/bin/sh', '-c', 'echo pwned']))", "ok", "refused"),
    ("becoming another program", REFUSE + "import os\n"
     "attempt(lambda: os.execv('/bin/sh', ['sh', '-c', 'true']))", "ok", "refused"),
    ("tracing another process", "import ctypes\n"
     "print('refused' if ctypes.CDLL(None).ptrace(16, {parent}, 0, 0) == -1 else 'done')", "ok",
     "refused"),
    ("becoming root", REFUSE + "import os\nattempt(lambda: os.setuid(0) or os.getuid() or 1/0)"
     if __import__("os").getuid() == 0 else REFUSE + "import os\nattempt(lambda: os.setuid(0))",
     "ok", "refused"),
    ("raising its limits", REFUSE + "import resource\n"
     "attempt(lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)))", "ok",
     "refused"),
    ("new namespaces", "import ctypes\n"
     "print('refused' if ctypes.CDLL(None).unshare(0x10000000) else 'done')", "ok", "refused"),
    # memory
    ("memory as a list", "x = [0] * 10**9", "memory", ""),
    ("memory as bytes", "x = []\nwhile True: x.append(bytes(10**7))", "memory timeout", ""),
    ("memory as a doubling text", "x = 'x'\nwhile True: x += x", "memory timeout", ""),
    ("memory by mmap", REFUSE + "import mmap\nattempt(lambda: mmap.mmap(-1, 1 << 40))", "ok",
     "refused"),
    ("an infinite generator", "import itertools\nx = list(itertools.count())",
     "memory timeout", ""),
    ("memory that survives MemoryError", "x = []\nwhile True:\n    try:\n"
     "        x.append(bytes(10**6))\n    except MemoryError:\n        pass", "timeout memory", ""),
    ("a power tower", "x = 9**9**9", "timeout memory", ""),
    ("shared memory left behind", REFUSE + "import ctypes\n"
     "print('refused' if ctypes.CDLL(None).shmget(4711, 4096, 0o1666) == -1 else 'done')", "ok",
     "refused"),
    # stacks and the parser
    ("deep recursion", "def f(): f()\nf()", "error", ""),
    ("deep recursion in C", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
     "killed memory error timeout", ""),
    ("a crash by ctypes", "import ctypes\nctypes.string_at(0)", "killed", ""),
    ("nested parentheses", "x = " + "(" * 5000 + ")" * 5000, "error memory killed", ""),
    ("nested lists", "x = " + "[" * 100_000 + "]" * 100_000, "error memory killed", ""),
    ("long sums for the compiler", "x = " + "+".join(["1"] * 30_000), "ok error memory killed", ""),
    ("a source of 10 MB", "x = 1\n" + "# filler line\n" * 730_000, "ok timeout memory", ""),
    ("a syntax error", "def f(:", "error", ""),
    ("NUL in the source", "x = 1\0", "error", ""),
    ("half a surrogate in the source", "x = '\ud800'", "error", ""),
    ("half a surrogate in the output", "print(chr(0xd800))", "ok error", ""),
    # time
    ("an infinite sleep", "import time\ntime.sleep(10**6)", "timeout", ""),
    ("a busy loop", "while True: pass", "timeout", ""),
    ("reading standard input", "import sys\nassert sys.stdin.read() == ''", "ok", ""),
    ("a catastrophic pattern", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "timeout", ""),
    ("a pickle bomb", "import pickle\npickle.loads(b\"cos\\n_exit\\n(I0\\ntR.\")", "error", ""),
    # output
    ("huge output", "while True: print('x' * 10**6)", "timeout", ""),
    ("huge errors", "import sys\nwhile True: sys.stderr.write('x' * 10**6)", "timeout", ""),
    ("hostile streams", "import sys\nclass S:\n    def flush(self): raise SystemExit(0)\n"
     "    write = flush\nsys.stdout = sys.stderr = S()", "ok", ""),
    ("an exception that fights its reader", "class E(Exception):\n    def __str__(self):\n"
     "        raise KeyboardInterrupt\nraise E", "error", ""),
    ("closed descriptors", "import os\nos.closerange(0, 256)", "error", ""),
    # files
    ("deleting a file", REFUSE + "import os\nattempt(lambda: os.remove('{canary}'))", "ok",
     "refused"),
    ("deleting everything", "import shutil\nshutil.rmtree('{outside}', ignore_errors=True)\n"
     "shutil.rmtree('/usr/lib/ssl', ignore_errors=True)", "ok", ""),
    ("reading a secret file", REFUSE + "attempt(lambda: open('{canary}').read())", "ok",
     "refused"),
    ("writing outside its folder", REFUSE + "attempt(lambda: open('{outside}/new', 'w'))", "ok",
     "refused"),
    ("writing to the system", REFUSE + "attempt(lambda: open('/usr/lib/genwright-was-here', 'w'))",
     "ok", "refused"),
    ("writing to its home", "import os\nopen(os.path.expanduser('~/here'), 'w').write('x')", "ok",
     ""),
    ("writing to /tmp", "try:\n    open('/tmp/genwright-was-here', 'w')\nexcept OSError:\n    pass",
     "ok", ""),
    ("a link to a secret", REFUSE + "import os\nos.symlink('{canary}', 'link')\n"
     "attempt(lambda: open('link').read())", "ok", "refused"),
    ("writing through a link", REFUSE + "import os\nos.symlink('{canary}', 'link')\n"
     "attempt(lambda: open('link', 'w'))", "ok", "refused"),
    ("a hard link to a secret", REFUSE + "import os\nattempt(lambda: os.link('{canary}', 'link'))",
     "ok", "refused"),
    ("changing folder and writing", REFUSE + "import os\nos.chdir('/')\n"
     "attempt(lambda: open('new', 'w'))", "ok", "refused"),
    ("changing rights", REFUSE + "import os\nattempt(lambda: os.chmod('{canary}', 0o777))", "ok",
     "refused"),
    ("changing times", REFUSE + "import os\nattempt(lambda: os.utime('{canary}', (0, 0)))", "ok",
     "refused"),
    ("a giant file", REFUSE + "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
     "attempt(lambda: open('big', 'wb').write(bytes(1 << 26)))", "ok", "refused"),
    ("very many files", "i = 0\nwhile True:\n    i += 1\n    open(str(i), 'w').close()",
     "error timeout", ""),
    ("a folder closed to its owner", "import os\nos.mkdir('d')\nopen('d/x', 'w').close()\n"
     "try:\n    os.chmod('d', 0)\nexcept OSError:\n    pass", "ok", ""),
    ("raw memory", REFUSE + "attempt(lambda: open('/dev/mem', 'rb').read(1))", "ok", "refused"),
    ("mounting", "import ctypes\nprint('refused' if ctypes.CDLL(None).mount("
     "b'none', b'/usr', b'tmpfs', 0, 0) else 'done')", "ok", "refused"),
    # secrets
    ("secrets in the environment", "import os\nprint(dict(os.environ))", "ok", ""),
    ("the environment of its parent", REFUSE + "import os\n"
     "attempt(lambda: open(f'/proc/{os.getppid()}/environ').read())", "ok", "refused"),
    ("the environment of the machine's processes", REFUSE
     + "attempt(lambda: open('/proc/{parent}/environ').read())", "ok", "refused"),
    ("memory of its own parent", REFUSE + "attempt(lambda: open('/proc/{parent}/mem', 'rb'))", "ok",
     "refused"),
    # network
    ("connecting to loopback", REFUSE + "import socket\n"
     "attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 0.3))", "ok", "refused"),
    ("asking for a name", REFUSE + "import socket\n"
     "attempt(lambda: socket.gethostbyname('example.org'))", "ok", "refused"),
    ("listening", REFUSE + "import socket\n"
     "attempt(lambda: socket.create_server(('127.0.0.1', {port})))", "ok", "refused"),
    ("sending a datagram", REFUSE + "import socket\nattempt(lambda: socket.socket("
     "socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port})))", "ok", "refused"),
    ("an abstract socket", REFUSE + "import socket\nattempt(lambda: socket.socket("
     "socket.AF_UNIX).connect('\\0genwright'))", "ok", "refused"),
]  # fmt: skip

WRONG = "def f(x):\n    return 0\n"

CHEATS = [
    ("leaving with 0", WRONG + "import sys\nsys.exit(0)"),
    ("leaving at once", WRONG + "import os\nos._exit(0)"),
    ("raising SystemExit", "raise SystemExit(0)"),
    ("leaving by atexit", WRONG + "import atexit, os\natexit.register(os._exit, 0)"),
    ("leaving during the call", "import os\ndef f(x):\n    os._exit(0)"),
    ("SystemExit during the call", "def f(x):\n    raise SystemExit(0)"),
    ("leaving by a thread", WRONG + "import os, threading, time\ndef go():\n    time.sleep(0.05)\n"
     "    os._exit(0)\nthreading.Thread(target=go).start()\nold = f\n"
     "def f(x):\n    time.sleep(0.3)\n    return 0"),
    ("leaving by an alarm", "import os, signal, time\nsignal.signal(signal.SIGALRM, "
     "lambda *_: os._exit(0))\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\n"
     "def f(x):\n    time.sleep(0.3)\n    return 0"),
    ("leaving a copy behind", WRONG + "import os\nif os.fork():\n    os._exit(0)"),
    ("printing success", WRONG
     + "print('OK\\n1 passed\\n{\"problem\": null, \"status\": \"ok\"}')"),
    ("writing success everywhere", WRONG + "import os\nfor fd in range(256):\n    try:\n"
     "        os.write(fd, b'{\"problem\": null, \"token\": \"0\"}\\n')\n"
     "    except OSError:\n        pass"),
    ("a null token", WRONG + "import os\nfor fd in range(3, 256):\n    try:\n"
     "        os.write(fd, b'{\"problem\": null, \"token\": null}\\n')\n"
     "    except OSError:\n        pass\nos._exit(0)"),
    ("closing descriptors", WRONG + "import os\nos.closerange(3, 256)"),
    ("a poisoned json", WRONG + "import json, json.encoder\n"
     "json.dumps = lambda *a, **k: '{\"problem\": null, \"token\": \"0\"}'"),
    ("poisoned os calls", WRONG + "import os\nos.write = lambda fd, data: len(data)\n"
     "os.read = lambda *a: b''\nos._exit = lambda code: None"),
    ("poisoned modules", WRONG + "import sys\nfor name in list(sys.modules):\n"
     "    sys.modules[name] = None"),
    ("poisoned built-ins", WRONG + "import builtins\nbuiltins.exec = lambda *a, **k: None\n"
     "builtins.compile = lambda *a, **k: None\nbuiltins.isinstance = lambda *a: True\n"
     "builtins.type = lambda *a: None\nbuiltins.AssertionError = SystemError"),
    ("no built-ins at all", WRONG + "import builtins\n"
     "for name in dir(builtins):\n    delattr(builtins, name)"),
    ("a trace function", WRONG + "import sys\ndef trace(frame, event, arg):\n"
     "    if frame.f_code.co_filename == 'tests.py':\n        import os\n        os._exit(0)\n"
     "    return trace\nsys.settrace(trace)"),
    ("hunting frames for the tests", WRONG + "import sys\nframe, found = sys._getframe(), []\n"
     "while frame:\n    found.append(repr(frame.f_locals))\n    frame = frame.f_back\n"
     "if ''.join(reversed('tset-terces')) in ''.join(found):\n    def f(x): return 2"),
    ("hunting objects for the tests", WRONG + "import gc\n"
     "wanted = ''.join(reversed('tset-terces'))\nobjects = gc.get_objects()\n"
     "if any(wanted in repr(o) for o in objects if o is not globals() and type(o) in"
     " (dict, list, tuple) and len(o) < 50):\n    def f(x): return 2"),
    ("hunting frames for the token", WRONG + "import sys, os\nframe = sys._getframe()\n"
     "while frame:\n    for value in list(frame.f_locals.values()):\n"
     "        if type(value) is str and len(value) == 32:\n"
     "            for fd in range(3, 64):\n                try:\n"
     "                    os.write(fd, b'{\"problem\": null, \"token\": \"%s\"}'"
     " % value.encode())\n"
     "                except OSError:\n                    pass\n    frame = frame.f_back\n"
     "os._exit(0)"),
    ("defining nothing", ""),
    ("a function that is none", "f = 2"),
]  # fmt: skip

DEEP_CHEATS = [
    ("always equal", "class E:\n    def __eq__(self, other): return True\n"
     "def f(x): return E()"),
    ("an int that is always equal", "class E(int):\n    def __eq__(self, other): return True\n"
     "    __hash__ = None\ndef f(x): return E(0)"),
    ("speaking the protocol", WRONG + "import json, os\nreport = []\nfor fd in range(3, 64):\n"
     "    try:\n        os.write(fd, b'loaded\\n')\n        report.append(fd)\n"
     "    except OSError:\n        pass\nfor fd in range(3, 64):\n    try:\n"
     "        os.set_blocking(fd, False)\n    except OSError:\n        continue\n"
     "import time\ntime.sleep(0.1)\nfor fd in range(3, 64):\n    try:\n"
     "        token = json.loads(os.read(fd, 65536))['token']\n    except Exception:\n"
     "        continue\n    for out in report:\n"
     "        os.write(out, json.dumps({'problem': None, 'token': token}).encode())\nos._exit(0)"),
    ("hunting the token during the call", "import gc, sys, os\ndef f(x):\n"
     "    frame = sys._getframe()\n    while frame:\n"
     "        order = frame.f_locals.get('order')\n"
     "        if type(order) is dict:\n            import json\n"
     "            text = json.dumps({'problem': None, 'token': order['token']}).encode()\n"
     "            os.write(frame.f_locals['report'], text)\n            os._exit(0)\n"
     "        frame = frame.f_back\n    return 0"),
]  # fmt: skip
"""Cheats that only a process of its own for the tests (`entry_point`) stops."""
