"""Health check of a worker: has it signed on in Redis? Only sockets, because it runs often."""

import os
import socket
import sys

host, _, port = os.environ["REDIS_URL"].split("/")[2].partition(":")
with socket.create_connection((host, int(port or 6379)), timeout=3) as connection:
    connection.sendall(f"EXISTS rq:worker:{socket.gethostname()}\r\n".encode())
    sys.exit(connection.recv(16) != b":1\r\n")
