"""An RQ worker that carries its container's name."""

import os
import socket

from rq import Worker

import store

name = socket.gethostname()
connection = store.redis()
# A life that was killed could not sign off, and RQ refuses a second worker of its name.
connection.delete(Worker.redis_worker_namespace_prefix + name)
print(f"worker {name} starts as process {os.getpid()}", flush=True)
Worker([store.queue()], name=name, connection=connection).work(logging_level="INFO")
