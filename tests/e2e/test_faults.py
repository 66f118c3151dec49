#!/usr/bin/python3
"""The fault matrix: what breaks under us, and what must hold all the same."""

import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WherryTest, main, run, wait_for  # noqa: E402

COUNTER = """
services:
  counter: {image: payload, command: counter 10}
  other: {image: payload, command: serve}
  checked:
    image: payload
    command: write /tmp/ok 1 -- serve
    healthcheck: {test: [CMD, /payload, exists, /tmp/ok], interval: 200ms, retries: 2}
"""


class Faults(WherryTest):
    def numbers(self, service):
        return [int(n) for n in re.findall(r"count (\d+)", self.logs(service))]

    def assert_no_gap(self, service):
        numbers = self.numbers(service)
        self.assertEqual(numbers, list(range(len(numbers))))
        return numbers

    def kill_supervisor(self):
        old = self.ls()["SupervisorPid"]
        self.kill(old)
        wait_for(lambda: (self.ls() or {}).get("SupervisorPid") not in (None, old), "a new supervisor")

    def test_services_and_logs_outlive_a_killed_supervisor(self):
        self.compose(COUNTER)
        self.wherry("up", "-d", "--wait")
        pids = {name: self.pid(name) for name in ("counter", "other", "checked")}
        for _ in range(5):
            self.kill_supervisor()
            seen = len(self.numbers("counter"))
            wait_for(lambda: len(self.numbers("counter")) > seen + 5, "the log goes on")
        self.assertEqual({name: self.pid(name) for name in pids}, pids)
        self.assert_no_gap("counter")
        self.assertEqual({item["State"] for item in self.ps().values()}, {"running"})
        # Health checks, restarts and stopping work on.
        self.execute("checked", "unlink", "/tmp/ok")
        self.wait_health("checked", "unhealthy")
        self.execute("checked", "write", "/tmp/ok", "1")
        self.wait_health("checked", "healthy")
        self.wherry("restart", "-t", "1", "other")
        self.assertNotEqual(self.pid("other"), pids["other"])
        self.wherry("stop", "-t", "1", "other")
        self.assertEqual(self.container("other")["State"], "exited")

    def test_a_death_while_the_supervisor_is_gone_is_known_and_answered(self):
        self.compose("""
services:
  a: {image: payload, command: echo born -- serve, restart: always}
  b: {image: payload, command: serve}
""")
        self.wherry("up", "-d")
        self.wait_log("a", "born")
        a, b, supervisor = self.pid("a"), self.pid("b"), self.ls()["SupervisorPid"]
        guardian = self.ls()["GuardianPid"]
        os.kill(guardian, signal.SIGSTOP)
        try:
            self.kill(supervisor)
            self.kill(a)
            self.kill(b, signal.SIGKILL)
        finally:
            os.kill(guardian, signal.SIGCONT)
        wait_for(lambda: self.logs("a").count("born") == 2, "a lives again")
        self.assertEqual(self.wait_state("b", "exited")["ExitCode"], 137)

    def test_a_killed_guardian_is_replaced(self):
        self.compose("services: {a: {image: payload, command: counter 10, restart: always}}")
        self.wherry("up", "-d")
        pid = self.pid("a")
        self.kill(self.ls()["GuardianPid"])
        wait_for(lambda: len(self.processes()) == 2, "guardian and supervisor again")
        self.assertEqual(self.pid("a"), pid)
        self.kill_supervisor()
        self.assertEqual(self.pid("a"), pid)
        self.assert_no_gap("a")

    def test_when_both_died_the_next_command_adopts_what_runs(self):
        self.compose("services: {a: {image: payload, command: serve, ports: ['8130:80']}, "
                     "b: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        pid, item = self.pid("a"), self.ls()
        os.kill(item["GuardianPid"], signal.SIGSTOP)
        self.kill(item["SupervisorPid"])
        self.kill(item["GuardianPid"])
        wait_for(lambda: self.processes() == [], "both are gone")
        self.assertEqual({c["State"] for c in self.ps().values()}, {"running"})
        self.assertEqual(self.pid("a"), pid)
        self.assertIn("rcode 0", self.execute("a", "resolve", "b").stdout)
        self.wherry("stop", "a")
        self.assertEqual(self.container("a")["State"], "exited")

    def test_a_damaged_state_file_is_moved_aside(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        for damage in (b"", b"garbage" * 1000):
            self.wherry("up", "-d")
            item = self.ls()
            os.kill(item["GuardianPid"], signal.SIGSTOP)
            self.kill(item["SupervisorPid"])
            self.kill(item["GuardianPid"])
            wait_for(lambda: self.processes() == [], "both are gone")
            with open(os.path.join(item["RunDir"], "table"), "r+b") as file:
                file.truncate(0)
                file.write(damage)
            self.assertEqual(len(self.ps()), 1)
            self.wherry("up", "-d")
            self.wait_state("a", "running")
            self.wherry("down", "-v", "-t", "1")
            self.assert_nothing_left()

    def test_up_interrupted_at_a_random_moment_leaves_nothing_after_down(self):
        self.compose("""
services:
  a: {image: payload, command: serve, volumes: [v:/data], ports: ["8131:80"]}
  b:
    image: payload
    command: serve
    depends_on: [a]
    healthcheck: {test: [CMD, /payload, exit, "0"], interval: 1s}
  c: {image: payload, command: serve, depends_on: {b: {condition: service_healthy}}}
volumes: {v: }
""")
        chance = random.Random(os.environ.get("WHERRY_TEST_SEED", "1"))
        for turn in range(50):
            process = self.start("up", "-d", "--wait")
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]))
            process.communicate(timeout=30)
            if turn % 5 == 0 and self.processes():
                self.kill(chance.choice(self.processes()))
            self.wherry("down", "-v", "-t", "1")
            self.assert_nothing_left()

    def test_logs_wait_for_room_on_a_full_disk_and_lose_nothing(self):
        small = os.path.join(self.state, "logs")
        os.makedirs(small, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small)
        try:
            self.compose("services: {a: {image: payload, command: counter 2 3000}}")
            filler = os.path.join(small, "filler")
            with open(filler, "wb") as file:
                file.write(b"x" * 200 * 1024)
            self.wherry("up", "-d")
            wait_for(lambda: os.statvfs(small).f_bavail == 0, "the disk is full", 20)
            self.assertEqual(self.container("a")["State"], "running")
            os.unlink(filler)
            self.wait_state("a", "exited", seconds=30)
            wait_for(lambda: len(self.numbers("a")) >= 3000 or None, "every line is there", 10, 0.2)
            self.assert_no_gap("a")
            self.wherry("down", "-v")
        finally:
            run("umount", small)

    def test_a_full_run_folder_fails_up_with_a_message_and_leaves_nothing(self):
        os.makedirs(self.run_dir, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", self.run_dir)
        try:
            self.compose("services: {a: {image: payload, command: serve}}")
            self.assertIn("No space left", self.fails("up", "-d"))
            self.wherry("down", "-v", check=False)
            wait_for(lambda: self.processes() == [], "no process stays")
        finally:
            run("umount", self.run_dir)

    def test_a_frozen_child_still_stops(self):
        self.compose("services: {a: {image: payload, command: serve, stop_grace_period: 1s}}")
        self.wherry("up", "-d")
        os.kill(self.pid("a"), signal.SIGSTOP)
        self.wherry("stop", timeout=10)
        self.assertEqual(self.container("a")["State"], "exited")

    def test_daemons_left_by_a_service_die_with_it(self):
        self.compose("services: {a: {image: payload, command: daemon serve -- sleep-ms 100 -- exit 3, init: true}}")
        self.wherry("up", "-d")
        item = self.wait_state("a", "exited")
        self.assertEqual(item["ExitCode"], 3)

    def test_ten_thousand_zombies_are_reaped(self):
        self.compose("services: {a: {image: payload, command: spawn-orphans 10000 -- echo spawned -- serve, init: true}}")
        self.wherry("up", "-d")
        self.wait_log("a", "spawned", 60)
        wait_for(lambda: len(self.pids("a")) == 2, "all are reaped", 20)

    def test_odd_inherited_state_does_not_matter(self):
        self.compose("services: {a: {image: payload, command: cat /proc/self/status -- fds -- serve}}")

        def spoil():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            os.close(0)
            os.dup2(1, 9)

        self.wherry("up", "-d", preexec_fn=spoil, close_fds=False)
        text = self.wait_log("a", "\n0 1 2 ")
        self.assertIn("SigBlk:\t0000000000000000", text)
        self.assertIn("SigIgn:\t0000000000000000", text)

    def test_fifty_ups_in_parallel_make_one_supervisor(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        processes = [self.start("up", "-d") for _ in range(20)]
        for process in processes:
            _, error = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, error)
        self.assertEqual(len(self.processes()), 2)
        self.assertEqual(len(self.ps()), 1)

    def test_a_file_gone_or_changed_does_not_stop_stop(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        os.unlink(os.path.join(self.dir, "compose.yaml"))
        self.wherry("stop")
        self.wherry("down", "-v")

    def test_stop_while_backing_off(self):
        self.compose("services: {a: {image: payload, command: exit 1, restart: always}}")
        self.wherry("up", "-d")
        wait_for(lambda: self.container("a").get("State") == "restarting", "it backs off")
        self.wherry("stop")
        self.assertEqual(self.container("a")["State"], "exited")

    def test_a_hanging_health_check_is_killed_and_counted(self):
        self.compose("""
services:
  a:
    image: payload
    command: serve
    healthcheck: {test: [CMD, /payload, forever], interval: 100ms, timeout: 1s, retries: 1}
""")
        self.wherry("up", "-d")
        self.wait_health("a", "unhealthy", 15)


if __name__ == "__main__":
    main()
