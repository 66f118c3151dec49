#!/usr/bin/python3
"""Up, ps, stop, start, restart, down: what a person does with a project all day."""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WherryTest, main, wait_for  # noqa: E402

TWO = """
services:
  web: {image: payload, command: serve, depends_on: [db], init: true}
  db: {image: payload, command: serve, init: true}
"""


class Lifecycle(WherryTest):
    def test_up_starts_every_service_and_down_leaves_nothing(self):
        self.compose(TWO)
        self.wherry("up", "-d")
        states = {name: item["State"] for name, item in self.ps().items()}
        self.assertEqual(states, {f"{self.project}-db-1": "running", f"{self.project}-web-1": "running"})
        self.wherry("down", "-v")
        self.assertEqual(self.processes(), [])

    def test_up_again_changes_nothing(self):
        self.compose(TWO)
        self.wherry("up", "-d")
        before = {name: item["ID"] for name, item in self.ps().items()}
        pid = self.pid("web")
        result = self.wherry("up", "-d")
        self.assertEqual({name: item["ID"] for name, item in self.ps().items()}, before)
        self.assertEqual(self.pid("web"), pid)
        self.assertIn("Running", result.stderr)

    def test_a_changed_service_is_recreated_alone(self):
        self.compose(TWO)
        self.wherry("up", "-d")
        before = {name: item["ID"] for name, item in self.ps().items()}
        self.compose(TWO.replace("depends_on: [db]", "depends_on: [db], environment: {A: b}"))
        result = self.wherry("up", "-d")
        after = {name: item["ID"] for name, item in self.ps().items()}
        self.assertNotEqual(after[f"{self.project}-web-1"], before[f"{self.project}-web-1"])
        self.assertEqual(after[f"{self.project}-db-1"], before[f"{self.project}-db-1"])
        self.assertIn("Recreated", result.stderr)
        self.assertEqual(self.execute("web", "env", "A").stdout, "b\n")

    def test_force_recreate_and_no_recreate(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        first = self.container("a")["ID"]
        self.wherry("up", "-d", "--force-recreate")
        second = self.container("a")["ID"]
        self.assertNotEqual(first, second)
        self.compose("services: {a: {image: payload, command: serve, environment: {X: y}}}")
        self.wherry("up", "-d", "--no-recreate")
        self.assertEqual(self.container("a")["ID"], second)

    def test_scale_up_and_down(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        self.wherry("up", "-d", "--scale", "a=3")
        self.assertEqual(sorted(self.ps()), [f"{self.project}-a-{n}" for n in (1, 2, 3)])
        self.wherry("up", "-d", "--scale", "a=1")
        self.assertEqual(sorted(self.ps()), [f"{self.project}-a-1"])

    def test_orphans_are_warned_about_and_removed_when_asked(self):
        self.compose(TWO)
        self.wherry("up", "-d")
        self.compose("services: {db: {image: payload, command: serve, init: true}}")
        result = self.wherry("up", "-d")
        self.assertIn("orphan", result.stderr)
        self.assertIn(f"{self.project}-web-1", self.ps())
        self.wherry("up", "-d", "--remove-orphans")
        self.assertNotIn(f"{self.project}-web-1", self.ps())

    def test_stop_start_and_restart_keep_the_container(self):
        self.compose(TWO)
        self.wherry("up", "-d")
        before = self.container("web")
        self.wherry("stop", "web")
        self.assertEqual(self.container("web")["State"], "exited")
        self.wherry("start", "web")
        self.assertEqual(self.container("web")["State"], "running")
        self.assertEqual(self.container("web")["ID"], before["ID"])
        pid = self.pid("web")
        self.wherry("restart", "web")
        self.assertEqual(self.container("web")["State"], "running")
        self.assertNotEqual(self.pid("web"), pid)

    def test_pause_and_unpause(self):
        self.compose("services: {a: {image: payload, command: counter 5}}")
        self.wherry("up", "-d")
        self.wait_log("a", "count 3")
        self.wherry("pause", "a")
        self.assertEqual(self.container("a")["State"], "paused")
        paused = self.logs("a")
        self.assertEqual(self.logs("a"), paused)
        self.wherry("unpause", "a")
        wait_for(lambda: len(self.logs("a")) > len(paused), "it goes on")

    def test_down_of_a_paused_container_ends(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        self.wherry("pause", "a")
        self.wherry("down", "-v", "-t", "1")

    def test_kill_sends_the_signal_asked_for(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        self.wherry("kill", "-s", "INT", "a")
        self.wait_state("a", "exited")
        self.assertIn(f"caught signal {int(signal.SIGINT)}", self.logs("a"))
        self.assertEqual(self.container("a")["ExitCode"], 0)

    def test_a_stop_sent_at_once_is_not_lost(self):
        self.compose("services: {a: {image: payload, command: serve, stop_grace_period: 20s}}")
        for _ in range(5):
            self.wherry("up", "-d")
            start = time.monotonic()
            self.wherry("stop", "a")
            self.assertLess(time.monotonic() - start, 10)
            self.assertEqual(self.container("a")["ExitCode"], 0)

    def test_a_service_that_ignores_term_is_killed_after_its_grace(self):
        self.compose("services: {a: {image: payload, command: ignore-term, stop_grace_period: 1s}}")
        self.wherry("up", "-d")
        self.wait_log("a", "ignoring")
        self.wherry("stop", "a")
        self.assertEqual(self.container("a")["ExitCode"], 137)

    def test_stop_signal_is_honoured(self):
        self.compose("services: {a: {image: payload, command: serve, stop_signal: SIGINT}}")
        self.wherry("up", "-d")
        self.wherry("stop", "a")
        self.assertIn("caught signal 2", self.logs("a"))

    def test_stop_goes_in_reverse_order_of_dependencies(self):
        self.compose("""
services:
  db: {image: payload, command: serve}
  web: {image: payload, command: cleanup /tmp/x 300, depends_on: [db]}
""")
        self.wherry("up", "-d")
        lines = self.wherry("stop").stderr.splitlines()
        stopped = [line for line in lines if "Stopped" in line]
        self.assertEqual([("web" in line, "db" in line) for line in stopped], [(True, False), (False, True)])

    def test_restart_policies(self):
        self.compose("""
services:
  never: {image: payload, command: exit 3}
  failing: {image: payload, command: exit 3, restart: "on-failure:2"}
  fine: {image: payload, command: exit 0, restart: on-failure}
  always: {image: payload, command: sleep-ms 100 -- echo lived, restart: always}
""")
        self.wherry("up", "-d")
        wait_for(lambda: self.logs("always").count("lived") >= 3, "always is restarted")
        self.assertEqual(self.wait_state("failing", "exited")["ExitCode"], 3)
        self.assertEqual(self.wait_state("never", "exited")["ExitCode"], 3)
        self.assertEqual(self.wait_state("fine", "exited")["ExitCode"], 0)
        self.wherry("stop", "always")
        self.assertEqual(self.container("always")["State"], "exited")

    def test_a_crash_is_answered_by_a_new_life(self):
        self.compose("services: {a: {image: payload, command: echo born -- serve, restart: unless-stopped}}")
        self.wherry("up", "-d")
        self.wait_log("a", "born")
        pid = self.pid("a")
        self.kill(pid)
        wait_for(lambda: self.logs("a").count("born") == 2, "a second life")
        self.assertNotEqual(self.pid("a"), pid)

    def test_conditions_hold_back_dependents(self):
        self.compose("""
services:
  migrate: {image: payload, command: sleep-ms 300 -- write /shared/done yes, volumes: [shared:/shared]}
  db:
    image: payload
    command: sleep-ms 300 -- write /tmp/ready 1 -- serve
    healthcheck: {test: [CMD, /payload, exists, /tmp/ready], interval: 1s, retries: 20}
  web:
    image: payload
    command: cat /shared/done -- echo -- serve
    volumes: [shared:/shared]
    depends_on:
      migrate: {condition: service_completed_successfully}
      db: {condition: service_healthy}
volumes: {shared: }
""")
        self.wherry("up", "-d")
        self.assertEqual(self.container("db")["Health"], "healthy")
        self.wait_log("web", "yes")

    def test_a_failed_dependency_ends_the_wait(self):
        self.compose("""
services:
  m: {image: payload, command: exit 3}
  web: {image: payload, command: serve, depends_on: {m: {condition: service_completed_successfully}}}
""")
        self.assertIn('service "m" didn\'t complete successfully: exit 3', self.fails("up", "-d"))
        self.assertEqual(self.container("web")["State"], "created")

    def test_an_unhealthy_dependency_ends_the_wait(self):
        self.compose("""
services:
  db:
    image: payload
    command: serve
    healthcheck: {test: [CMD, /payload, exit, "1"], interval: 100ms, retries: 2}
  web: {image: payload, command: serve, depends_on: {db: {condition: service_healthy}}}
""")
        error = self.fails("up", "-d")
        self.assertIn(f"dependency failed to start: container {self.project}-db-1 is unhealthy", error)
        self.assertEqual(self.container("web")["State"], "created")

    def test_wait_ends_when_healthy_and_fails_in_time(self):
        self.compose("""
services:
  good: {image: payload, command: serve, healthcheck: {test: [CMD, /payload, exit, "0"], interval: 10s}}
""")
        self.wherry("up", "-d", "--wait", timeout=9)
        self.assertEqual(self.container("good")["Health"], "healthy")
        self.compose("""
services:
  bad: {image: payload, command: serve, healthcheck: {test: [CMD, /payload, exit, "1"], interval: 10s}}
""")
        error = self.fails("up", "-d", "--wait", "--wait-timeout", "1", "--remove-orphans")
        self.assertIn("application not healthy after 1s", error)

    def test_two_ups_at_once_make_one_project(self):
        self.compose(TWO)
        processes = [self.start("up", "-d") for _ in range(4)]
        for process in processes:
            _, error = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, error)
        self.assertEqual(len(self.ps()), 2)
        self.assertEqual(len([p for p in self.processes()]), 2)

    def test_detached_replicas_from_the_file(self):
        self.compose("services: {a: {image: payload, command: serve, deploy: {replicas: 2}}}")
        self.wherry("up", "-d")
        self.assertEqual(len(self.ps()), 2)

    def test_profiles(self):
        self.compose("""
services:
  a: {image: payload, command: serve}
  tool: {image: payload, command: serve, profiles: [tools]}
""")
        self.wherry("up", "-d")
        self.assertEqual(list(self.ps()), [f"{self.project}-a-1"])
        self.wherry("--profile", "tools", "up", "-d")
        self.assertEqual(len(self.ps()), 2)
        self.wherry("--profile", "tools", "down")


if __name__ == "__main__":
    main()
