"""Health checks of api and worker. Plain sockets: Python alone starts in a tenth of the time that it
takes with the libraries, and this runs every few seconds."""
import os
import socket
import sys


def api():
    """The API answers, which includes that it reaches Redis."""
    with socket.create_connection(("127.0.0.1", 8000), 2) as s:
        s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        return b" 200 " in s.recv(64)


def reply(stream):
    """One reply of the Redis protocol."""
    kind, line = stream.read(1), stream.readline()[:-2]
    if kind == b"$":
        size = int(line)
        return None if size < 0 else stream.read(size + 2)[:-2]
    if kind == b"*":
        return [reply(stream) for _ in range(int(line))]
    return line


def worker():
    """Redis knows a worker of this container, and the process is there."""
    with socket.create_connection(("redis", 6379), 2) as s, s.makefile("rb") as stream:
        def call(*words):
            s.sendall(b"*%d\r\n" % len(words)
                      + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return reply(stream)

        for name in call(b"SMEMBERS", b"rq:workers"):
            host, pid = call(b"HMGET", name, b"hostname", b"pid")
            if host == socket.gethostname().encode() and os.path.exists(f"/proc/{int(pid)}"):
                return True
    return False


try:
    ok = {"api": api, "worker": worker}[sys.argv[1]]()
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
sys.exit(0 if ok else f"{sys.argv[1]}: not there yet")
