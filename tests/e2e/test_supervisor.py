#!/usr/bin/python3
"""The supervisor itself: its socket, its appetite, and what it carries across its own death."""

import array
import glob
import json
import os
import random
import re
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WHERRY, WherryTest, main, wait_for  # noqa: E402

# The sanitizers' own memory is not the product's.
SANITIZED = b"__asan_init" in open(WHERRY, "rb").read()


class Client:
    """The control protocol by hand."""

    def __init__(self, run_dir):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(run_dir, "control"))
        self.socket.settimeout(5)

    def send(self, frame, fds=()):
        data = json.dumps(frame).encode()
        data = struct.pack("<I", len(data)) + data
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                return None
            data += more
        return data

    def receive(self):
        header = self.read(4)
        return json.loads(self.read(struct.unpack("<I", header)[0])) if header else None

    def last(self):
        """The last frame of an answer, or None when the supervisor closed without one."""
        while True:
            frame = self.receive()
            if frame is None or frame.get("done"):
                return frame

    def greet(self):
        self.send({"wherry": 1})
        return self.receive()

    def close(self):
        self.socket.close()


class Supervisor(WherryTest):
    def up(self, text):
        self.compose(text)
        self.wherry("up", "-d")
        return self.ls()

    def test_another_protocol_version_is_told_so(self):
        client = Client(self.up("services: {a: {image: payload}}")["RunDir"])
        client.send({"wherry": 99, "version": "9.9"})
        self.assertEqual(client.receive()["wherry"], 1)
        self.assertIn("version", client.last()["error"])
        client.close()

    def test_a_terminal_or_folder_of_the_host_is_not_handed_in(self):
        client = Client(self.up("services: {a: {image: payload}}")["RunDir"])
        folder = os.open("/", os.O_RDONLY)
        client.greet()
        client.send({"op": "exec", "service": "a", "args": ["/payload", "serve"]}, [folder] * 3)
        self.assertIn("only pipes", client.last()["error"])
        os.close(folder)
        client.close()

    def test_garbage_and_wrong_types_do_no_harm(self):
        before = self.up("services: {a: {image: payload, stop_grace_period: 100ms}}")
        values = [None, True, -1, 1 << 62, 1.5, "", "a", "x" * 5000, [], [1], ["a", "zz"], {}, [[[]]]]
        operations = ["apply", "events", "exec", "kill", "pause", "ps", "restart", "run", "start",
                      "status", "stop", "unpause", "", "nonsense"]
        members = ["plan", "services", "recreate", "start", "wait", "wait_timeout_us", "timeout_us",
                   "attach", "signal", "container", "service", "index", "args", "env", "user", "cwd",
                   "tty", "rows", "privileged", "detach"]
        dice = random.Random(7)
        for _ in range(200):
            client = Client(before["RunDir"])
            try:
                if dice.random() < 0.1:
                    client.socket.send(dice.randbytes(dice.randrange(100)))
                client.send({"wherry": 1} if dice.random() < 0.9 else dice.choice(values))
                request = {"op": dice.choice(operations)}
                for member in dice.sample(members, dice.randrange(8)):
                    request[member] = dice.choice(values)
                client.send(request)
                if dice.random() < 0.3:
                    client.send({"signal": dice.choice(values)})
            except (BrokenPipeError, ConnectionResetError):
                pass
            client.close()
        self.assertEqual(self.ls()["SupervisorPid"], before["SupervisorPid"])
        self.wherry("up", "-d")

    def test_slow_clients_hold_up_nobody(self):
        run_dir = self.up("services: {a: {image: payload}}")["RunDir"]
        slow = [Client(run_dir) for _ in range(100)]
        for client in slow:
            client.socket.send(b"\x40")
        start = time.monotonic()
        self.wherry("ps")
        self.assertLess(time.monotonic() - start, 2)
        for client in slow:
            client.close()

    def test_a_flood_of_large_writes_goes_on_to_its_end(self):
        # Each write(2) is larger than the pipe: it blocks half way through a line.
        self.up("services: {a: {image: payload, command: flood 100 200003}}")
        self.wait_state("a", "exited", seconds=60)
        size = sum(len(json.loads(line)["log"]) for path in
                   glob.glob(os.path.join(self.state, "logs", self.project, "*", "*-json.log"))
                   for line in open(path, encoding="utf-8"))
        self.assertEqual(size, 100 * 200003)

    def test_exec_outlives_the_supervisor_with_its_exit_code(self):
        before = self.up("services: {a: {image: payload}}")
        process = self.start("exec", "-T", "a", "/payload", "sleep-ms", "1500", "--", "exit", "6")
        wait_for(lambda: len(self.pids("a")) > 1, "the session runs")
        self.kill(before["SupervisorPid"])
        self.assertEqual(process.wait(20), 6)

    def test_run_outlives_the_supervisor_with_its_exit_code(self):
        before = self.up("services: {a: {image: payload}}")
        process = self.start("run", "--rm", "-T", "a", "sleep-ms", "1500", "--", "exit", "8")
        wait_for(lambda: len(self.ps()) == 2, "the container runs")
        self.kill(before["SupervisorPid"])
        self.assertEqual(process.wait(20), 8)
        wait_for(lambda: len(self.ps()) == 1, "the container is removed")

    def switches(self, *pids):
        text = "".join(open(f"/proc/{pid}/status").read() for pid in pids)
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))

    def test_a_hundred_containers_cost_three_mebibytes_and_no_wake_up(self):
        ls = self.up("services: {a: {image: payload, init: true, deploy: {replicas: 100}}}")
        pids = ls["SupervisorPid"], ls["GuardianPid"]
        time.sleep(0.5)  # the last client has gone; what it took is given back
        total = sum(int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(),
                                  re.M).group(1)) for pid in pids)
        before = self.switches(*pids)
        time.sleep(3)
        self.assertEqual(self.switches(*pids), before)
        if not SANITIZED:
            self.assertLess(total, 3072)

    def test_no_descriptor_is_left_by_what_has_gone(self):
        pid = self.up("services: {a: {image: payload}}")["SupervisorPid"]

        def count():
            return len(os.listdir(f"/proc/{pid}/fd"))

        self.wherry("ps")
        before = count()
        for _ in range(3):
            self.wherry("exec", "-T", "a", "/payload", "exit", "0")
            self.wherry("run", "--rm", "-T", "a", "exit", "0")
            self.wherry("restart", "-t", "0", "a")
            self.wherry("up", "-d", "--scale", "a=4")
            self.wherry("up", "-d", "--scale", "a=1")
        wait_for(lambda: count() <= before, f"{before} descriptors again")

    def test_sigterm_to_the_guardian_stops_in_order_and_keeps_the_containers(self):
        ls = self.up("""
services:
  a: {image: payload}
  b: {image: payload, depends_on: [a]}
""")
        self.kill(ls["GuardianPid"], 15)
        wait_for(lambda: not self.processes(), "guardian and supervisor end")
        self.assertEqual({item["State"] for item in self.ps().values()}, {"exited"})
        self.wherry("up", "-d")
        self.assertEqual({item["State"] for item in self.ps().values()}, {"running"})

    def test_an_internal_network_publishes_nothing(self):
        self.up("""
services:
  a: {image: payload, networks: [inner], ports: ["127.0.0.1:18123:80"]}
networks: {inner: {internal: true}}
""")
        self.assertFalse(self.container("a")["Publishers"])
        self.assertFalse(glob.glob(os.path.join(self.run_dir, "*.lock")))


main()
