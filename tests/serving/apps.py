"""An app behind a real server on an ephemeral port, in a thread."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from genwright.serving.run import listen


@contextmanager
def running(app):
    """Serve an app while the block runs; give its address."""
    made = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{made.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(300)
        assert not thread.is_alive()
