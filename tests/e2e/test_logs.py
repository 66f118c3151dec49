#!/usr/bin/python3
"""Logs: the files as docker writes them, and the command that shows them."""

import glob
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WherryTest, main, wait_for  # noqa: E402


class Logs(WherryTest):
    def log_files(self):
        return sorted(glob.glob(os.path.join(self.state, "logs", self.project, "*", "*-json.log*")))

    def entries(self):
        return [json.loads(line) for path in self.log_files() for line in open(path, encoding="utf-8")]

    def test_lines_are_dockers_json_with_stream_and_time(self):
        self.compose("services: {a: {image: payload, command: echo one -- stderr two -- serve}}")
        self.wherry("up", "-d")
        self.wait_log("a", "two")
        found = {entry["log"]: entry["stream"] for entry in self.entries()}
        self.assertEqual(found, {"one\n": "stdout", "two\n": "stderr"})
        self.assertRegex(self.entries()[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

    def test_prefix_tail_timestamps_and_both_services(self):
        self.compose("services: {web: {image: payload, command: echo w -- serve}, "
                     "longname: {image: payload, command: echo l1 -- echo l2 -- serve}}")
        self.wherry("up", "-d")
        self.wait_log("longname", "l2")
        self.wait_log("web", "w")
        text = self.wherry("logs", "--no-color").stdout
        self.assertIn("web-1       | w\n", text)
        self.assertIn("longname-1  | l2\n", text)
        self.assertEqual(self.logs("--tail", "1", "longname"), "l2\n")
        self.assertRegex(self.wherry("logs", "-t", "--no-log-prefix", "web").stdout, r"^\d{4}-\d\d-\d\dT\S+Z w\n$")

    def test_follow_shows_lines_as_they_come_and_the_next_life(self):
        self.compose("services: {a: {image: payload, command: echo born -- counter 10, restart: always}}")
        self.wherry("up", "-d")
        self.wait_log("a", "count 5")
        process = self.start("logs", "-f", "--no-color", "--no-log-prefix", "a")
        lines = []
        while "count 20\n" not in lines:
            lines.append(process.stdout.readline())
        self.kill(self.pid("a"))
        while lines.count("born\n") < 2:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    def test_logs_of_both_lives_stay(self):
        self.compose("services: {a: {image: payload, command: echo life -- serve, restart: always}}")
        self.wherry("up", "-d")
        self.wait_log("a", "life")
        self.kill(self.pid("a"))
        wait_for(lambda: self.logs("a").count("life") == 2, "both lives in the log")

    def test_rotation_keeps_the_number_of_files_asked_for(self):
        self.compose("services: {a: {image: payload, command: flood 20000 100, logging: "
                     "{driver: json-file, options: {max-size: 200k, max-file: '3'}}}}")
        self.wherry("up", "-d")
        self.wait_state("a", "exited", seconds=30)
        wait_for(lambda: len(self.log_files()) == 3, "three files")
        self.assertLess(max(os.path.getsize(path) for path in self.log_files()), 300 * 1024)
        last = self.logs("--tail", "1", "a")
        self.assertTrue(last.startswith("line 0000019999"), last)

    def test_every_line_of_a_flood_is_there_once(self):
        self.compose("services: {a: {image: payload, command: flood 200000 100}}")
        self.wherry("up", "-d")
        self.wait_state("a", "exited", seconds=60)
        numbers = [int(line[5:15]) for line in self.logs("a").splitlines()]
        self.assertEqual(numbers, list(range(200000)))

    def test_odd_bytes_and_lines_without_an_end(self):
        self.compose("services: {a: {image: payload, command: [emit, '40000', y, '--', exit]}}")
        self.wherry("up", "-d")
        self.wait_state("a", "exited")
        wait_for(lambda: len("".join(entry["log"] for entry in self.entries())) == 40000, "all bytes")

    def test_up_in_the_foreground_prefixes_and_stops_on_interrupt(self):
        self.compose("services: {a: {image: payload, command: echo hello -- serve}}")
        process = self.start("up", "--no-color")
        lines = []
        while not any("hello" in line for line in lines):
            lines.append(process.stdout.readline())
        self.assertTrue(any(line.startswith("a-1  | hello") for line in lines), lines)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.container("a")["State"], "exited")

    def test_exit_code_from_gives_the_services_code(self):
        self.compose("services: {t: {image: payload, command: sleep-ms 200 -- exit 9}, "
                     "db: {image: payload, command: serve}}")
        result = self.wherry("up", "--exit-code-from", "t", check=False, timeout=60)
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertEqual(self.container("db")["State"], "exited")


if __name__ == "__main__":
    main()
