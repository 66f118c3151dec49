#!/usr/bin/python3
"""The command line: terminals, signals, progress, attached `up`, what each command prints."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import IMAGE_TOOL, SLOW, WHERRY, WherryTest, main, run, wait_for  # noqa: E402


class Terminal:
    """A command on a pseudo terminal of its own session."""

    def __init__(self, test, words, rows=30, columns=100):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = ""
        self.process = subprocess.Popen(
            test.command(*words), cwd=test.dir, env={**test.env, "TERM": "xterm"}, stdin=slave,
            stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        test.background.append(self.process)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.05):
        if select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def expect(self, pattern, seconds=10):
        try:
            return wait_for(lambda: re.search(pattern, self.read()), "", seconds, 0)
        except AssertionError:
            raise AssertionError(f"{pattern!r} did not come, but {self.text!r}") from None

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, seconds=15):
        wait_for(lambda: self.read() is None or self.process.poll() is not None, "the command ends", seconds, 0)
        self.read(0)
        return self.process.returncode

    def is_as_before(self):
        return termios.tcgetattr(self.slave)[:4] == self.before[:4]


class CommandLine(WherryTest):
    def one(self, command="serve", more=""):
        self.compose(f"services: {{a: {{image: payload, command: {command}{more}}}}}")
        self.wherry("up", "-d")

    def read_until(self, process, text):
        """Output of a background command until it holds @text. (Nothing may be buffered.)"""
        output = b""
        end = time.monotonic() + 20 * SLOW
        while text.encode() not in output:
            ready = select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]
            piece = os.read(process.stdout.fileno(), 65536) if ready else b""
            self.assertTrue(piece, f"{text!r} did not come: {output}")
            output += piece
        return output.decode()

    def catches_term(self, pid):
        """Whether the process has its handler; a signal before that would just end it."""
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                return int(re.search(r"SigCgt:\s*(\w+)", file.read())[1], 16) >> 14 & 1
        except OSError:
            return False

    def read_all(self, process):
        """What is left; the process has to end soon."""
        return process.communicate(timeout=20 * SLOW)[0]

    # exec and run.

    def test_exec_on_a_terminal_gives_one_and_its_size_follows(self):
        self.one()
        terminal = Terminal(self, ["exec", "a", "/payload", "tty", "--", "forever"], 33, 77)
        terminal.expect("1 1 1\r\n")
        pid = wait_for(lambda: [pid for pid in self.pids("a") if pid != self.pid("a")], "the session")[0]

        def size():
            with open(f"/proc/{pid}/fd/0", "rb", buffering=0) as file:
                return struct.unpack("HHHH", fcntl.ioctl(file, termios.TIOCGWINSZ, bytes(8)))[:2]
        self.assertEqual(size(), (33, 77))
        terminal.resize(40, 120)
        wait_for(lambda: size() == (40, 120), "the new size is there")
        self.assertFalse(terminal.is_as_before())
        # The byte becomes a signal at the container's terminal, not at ours.
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 130)
        self.assertTrue(terminal.is_as_before())

    def test_exec_on_a_terminal_echoes_what_is_typed(self):
        self.one()
        terminal = Terminal(self, ["exec", "a", "/payload", "cat"])
        terminal.type("hello\r")
        terminal.expect("hello\r\nhello\r\n")
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 0)

    def test_exec_without_a_terminal_copies_it_through_pipes(self):
        self.one()
        terminal = Terminal(self, ["exec", "-T", "a", "/payload", "tty", "--", "cat"])
        terminal.expect("0 0 0\r\n")
        terminal.type("line\n\x04")
        terminal.expect("line\r\nline\r\n")
        self.assertEqual(terminal.wait(), 0)

    def test_exec_takes_odd_descriptors(self):
        self.one()
        for path, flags in (("/dev/zero", os.O_RDONLY), ("/", os.O_RDONLY)):
            fd = os.open(path, flags)
            self.assertEqual(self.execute("a", "echo", "fine", stdin=fd).stdout, "fine\n", path)
            os.close(fd)
        result = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *self.command("exec", "-T", "a", "/payload", "cat")],
                                cwd=self.dir, env=self.env, capture_output=True, timeout=20, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, b""), result.stderr)

    def test_exec_forwards_signals_and_detached_returns_at_once(self):
        self.one()
        process = self.start("exec", "-T", "a", "/payload", "serve")
        wait_for(lambda: any(self.catches_term(pid) for pid in self.pids("a")[1:]), "the session is ready")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate(timeout=10)[0], "caught signal 15\n")
        self.assertEqual(process.returncode, 0)
        self.wherry("exec", "-d", "a", "/payload", "serve")
        wait_for(lambda: len(self.pids("a")) == 2, "the detached session runs")

    def test_run_starts_dependencies_takes_a_terminal_and_signals(self):
        self.compose("services: {a: {image: payload, command: serve, depends_on: [db]}, "
                     "db: {image: payload, command: serve}}")
        terminal = Terminal(self, ["run", "--rm", "a", "tty", "--", "cat"])
        terminal.expect("1 1 1\r\n")
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(list(self.ps()), [f"{self.project}-db-1"])
        process = self.start("run", "-T", "--name", "mine", "a")
        wait_for(lambda: self.catches_term(self.ps().get("mine", {}).get("Pid")), "the container is ready")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=10)[0], "caught signal 2\n")
        self.assertEqual(process.returncode, 0)
        self.wherry("rm", "-f", "a")
        name = self.wherry("run", "-d", "a").stdout.strip()
        self.assertRegex(name, f"^{self.project}-a-run-[0-9a-f]{{12}}$")
        self.assertEqual(self.ps()[name]["State"], "running")
        self.assertEqual(self.wherry("run", "--rm", "-T", "--entrypoint", "/payload echo 'a b'", "a").stdout, "a b\n")
        self.assertIn("not a terminal", self.fails("run", "-t", "a"))

    # up.

    def test_up_on_a_terminal_draws_a_block(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        terminal = Terminal(self, ["up", "-d"])
        self.assertEqual(terminal.wait(), 0)
        self.assertRegex(terminal.text, r"\[\+\] Running 2/2\x1b\[K\r\n")
        last = terminal.text[terminal.text.rindex("[+]"):]
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", last).splitlines()
        self.assertRegex(plain[2], rf"^ ✔ Container {self.project}-a-1 +Started +\d\.\ds$")
        self.assertEqual(len(plain[2]), 100 - 1)

    def test_up_elsewhere_prints_a_line_for_each_event(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        lines = self.wherry("up", "-d").stderr.splitlines()
        name = f"Container {self.project}-a-1"
        for line in (f" Network {self.project}_default Created", f" {name} Created", f" {name} Starting",
                     f" {name} Started"):
            self.assertIn(line, lines)
        self.assertEqual(self.wherry("--progress", "quiet", "stop").stderr, "")
        for line in self.wherry("--progress=json", "start").stderr.splitlines():
            self.assertEqual(json.loads(line)["id"], name)

    def test_a_second_interrupt_kills(self):
        self.compose("services: {a: {image: payload, command: ignore-term, stop_grace_period: 60s}}")
        terminal = Terminal(self, ["up"])
        terminal.expect(r"a-1  \| \x1b\[0mignoring")
        terminal.type("\x03")
        terminal.expect(r"Gracefully stopping\.\.\. \(press Ctrl\+C again to force\)")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 130)
        self.assertIn("a-1 exited with code 137", terminal.text)
        self.assertEqual(self.container("a")["State"], "exited")

    def test_interrupting_up_stops_only_what_was_named(self):
        self.compose("services: {a: {image: payload, command: echo up -- serve, depends_on: [db]}, "
                     "db: {image: payload, command: echo quiet -- serve}}")
        process = self.start("up", "--no-color", "a")
        output = self.read_until(process, "a-1  | up")
        process.send_signal(signal.SIGINT)
        output += self.read_all(process)
        self.assertEqual(process.returncode, 130)
        self.assertIn("Attaching to a-1\n", output)
        self.assertIn("a-1  | caught signal 15\n", output)
        self.assertNotIn("quiet", output)
        self.assertEqual(self.container("a")["State"], "exited")
        self.assertEqual(self.container("db")["State"], "running")

    def test_interrupting_up_while_it_waits_starts_nothing_more(self):
        self.compose("services: {a: {image: payload, command: serve, depends_on: {db: {condition: "
                     "service_completed_successfully}}}, db: {image: payload, command: echo wait -- serve}}")
        process = self.start("up", "--no-color")
        self.read_until(process, "wait")
        process.send_signal(signal.SIGINT)
        self.read_all(process)
        self.assertEqual(process.returncode, 130)
        self.assertEqual({item["State"] for item in self.ps().values()}, {"exited", "created"})

    def test_up_ends_when_everything_has_ended_and_shows_it_all(self):
        self.compose("services: {a: {image: payload, command: echo one -- exit 3}, "
                     "bb: {image: payload, command: stderr two -- sleep-ms 300}}")
        result = self.wherry("up", "--no-color", timeout=30)
        self.assertEqual(sorted(result.stdout.splitlines()),
                         ["Attaching to a-1, bb-1", "a-1   | one", "a-1 exited with code 3", "bb-1 exited with code 0"])
        self.assertIn("bb-1  | two\n", result.stderr)

    def test_abort_on_container_exit_stops_the_others(self):
        self.compose("services: {a: {image: payload, command: sleep-ms 200 -- exit 4}, "
                     "b: {image: payload, command: serve}}")
        result = self.wherry("up", "--abort-on-container-exit", check=False, timeout=30)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("b-1 exited with code 0", result.stdout)
        self.assertEqual(self.container("b")["State"], "exited")

    def test_a_restart_by_policy_is_shown_and_does_not_end_up(self):
        self.compose("services: {a: {image: payload, command: echo life -- exit 1, restart: 'on-failure:2'}}")
        result = self.wherry("up", "--no-color", timeout=30)
        self.assertEqual(result.stdout.count("a-1  | life\n"), 3, result.stdout)
        self.assertEqual(result.stdout.count("a-1 exited with code 1 (restarting)\n"), 2, result.stdout)
        self.assertTrue(result.stdout.endswith("a-1 exited with code 1\n"), result.stdout)

    def test_attached_up_and_logs_outlive_the_supervisor(self):
        self.compose("services: {a: {image: payload, command: counter 20}}")
        up = self.start("up", "--no-color", "--no-log-prefix")
        self.read_until(up, "count 5")
        follow = self.start("logs", "-f", "--no-log-prefix")
        output = self.read_until(follow, "count 2")
        for _ in range(3):
            old = self.ls()["SupervisorPid"]
            self.kill(old)
            wait_for(lambda: self.ls() and self.ls()["SupervisorPid"] != old, "a new supervisor")
        time.sleep(0.2 * SLOW)
        self.wherry("stop", "a")
        output += self.read_all(follow)
        numbers = [int(line.split()[1]) for line in output.splitlines() if line.startswith("count")]
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertIn("a-1 exited with code 0", output)
        self.assertIn("a-1 exited with code 0", self.read_all(up))
        self.assertEqual(up.returncode, 0)

    # What the others print.

    def test_ls_port_top_and_ps_tell_what_is_there(self):
        self.compose("services: {a: {image: payload, command: serve, ports: ['127.0.0.1:8123:80', '53/udp']}}")
        self.wherry("up", "-d")
        entry = self.ls()
        self.assertEqual(entry["Status"], "running(1)")
        self.assertEqual(entry["ConfigFiles"], os.path.join(self.dir, "compose.yaml"))
        self.assertTrue(os.path.isdir(entry["RunDir"]))
        self.assertIn(self.project, self.wherry("ls", "-q").stdout.split())
        self.assertEqual(self.wherry("port", "a", "80").stdout, "127.0.0.1:8123\n")
        self.assertRegex(self.wherry("port", "--protocol", "udp", "a", "53").stdout, r"^0\.0\.0\.0:\d+\n$")
        self.assertIn("no port 81/tcp", self.fails("port", "a", "81"))
        header, line = self.wherry("top").stdout.splitlines()
        self.assertEqual(header.split(), "SERVICE # UID PID PPID C STIME TTY TIME CMD".split())
        self.assertIn("/payload serve", line)
        header, line = self.wherry("ps").stdout.splitlines()
        self.assertEqual(header.split(), "NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS".split())
        self.assertRegex(line, rf'^{self.project}-a-1 +payload +"/payload serve" +a +.* ago +Up .*127.0.0.1:8123->80/tcp')
        self.assertEqual(self.wherry("ps", "-q").stdout.strip(), self.container("a")["ID"])
        self.assertEqual(self.wherry("ps", "--services").stdout, "a\n")
        self.assertEqual(self.wherry("ps", "-q", "--status", "exited").stdout, "")
        publishers = self.container("a")["Publishers"]
        self.assertEqual([p["PublishedPort"] for p in publishers if p["TargetPort"] == 80], [8123])

    def test_down_needs_no_file_and_is_quiet_the_second_time(self):
        self.one()
        self.compose("services: [broken")
        self.wherry("down")
        self.assertIn("No resource found", self.wherry("down").stderr)
        os.unlink(os.path.join(self.dir, "compose.yaml"))
        self.wherry("down")
        result = subprocess.run([WHERRY, "down"], cwd="/", env=self.env, capture_output=True, text=True,
                                timeout=20, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no configuration file provided: not found", result.stderr)

    def test_down_v_later_removes_volumes_that_stayed(self):
        self.compose("services: {a: {image: payload, command: serve, volumes: ['v:/v']}}\nvolumes: {v: {}}\n")
        self.wherry("up", "-d")
        self.wherry("down")
        volume = os.path.join(self.state, "volumes", f"{self.project}_v")
        self.assertTrue(os.path.isdir(volume))
        self.wherry("down", "-v")
        self.assertFalse(os.path.exists(volume))

    def test_down_of_one_service_leaves_the_others(self):
        self.compose("services: {a: {image: payload, command: serve}, b: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        self.wherry("down", "a")
        self.assertEqual(list(self.ps()), [f"{self.project}-b-1"])

    def test_config_prints_aspects_of_the_project(self):
        self.compose("services: {web: {image: payload, depends_on: [db], profiles: [x]}, "
                     "db: {image: 'payload:${TAG:-latest}', volumes: ['data:/d']}}\nvolumes: {data: {}}\n")
        self.assertEqual(self.wherry("--profile", "x", "config", "--services").stdout, "db\nweb\n")
        self.assertEqual(self.wherry("config", "--services").stdout, "db\n")
        self.assertEqual(self.wherry("config", "--volumes").stdout, "data\n")
        self.assertEqual(self.wherry("config", "--networks").stdout, "default\n")
        self.assertEqual(self.wherry("config", "--profiles").stdout, "x\n")
        self.assertEqual(self.wherry("config", "--images").stdout, "payload:latest\n")
        self.assertEqual(self.wherry("config", "-q").stdout, "")
        parsed = json.loads(self.wherry("config", "--format", "json").stdout)
        self.assertEqual(parsed["services"]["db"]["image"], "payload:latest")
        self.wherry("config", "-o", "out.yaml")
        with open(os.path.join(self.dir, "out.yaml"), encoding="utf-8") as file:
            self.assertEqual(file.read(), self.wherry("config").stdout)
        name, value = self.wherry("config", "--hash", "db").stdout.split()
        self.assertEqual(name, "db")
        self.wherry("up", "-d", "db")
        labels = self.container("db")["Labels"].split(",")
        self.assertIn(f"com.docker.compose.config-hash={value}", labels)

    def test_what_is_not_there_is_refused(self):
        self.compose("services: {a: {image: payload, command: serve, x-wherry: {eager_health: false}}, "
                     "b: {build: .}}")
        self.wherry("config", "-q")
        self.assertIn("compose.yaml:1:", self.fails("--strict-compose", "config", "-q"))
        self.assertIn("--build is not available", self.fails("up", "-d", "--build"))
        self.assertIn("--pull always is not available", self.fails("up", "-d", "--pull", "always", "a"))
        self.assertIn("--isolation=rootless is not available", self.fails("--isolation", "rootless", "up", "-d", "a"))
        self.wherry("up", "-d", "--build", "--pull", "missing", "a")

    def test_docker_composes_spellings_work(self):
        self.compose("services: {a: {image: payload, command: serve}}")
        alias = os.path.join(self.dir, "docker-compose")
        os.symlink(WHERRY, alias)
        run(alias, "-p", self.project, "up", "-d", cwd=self.dir, env=self.env)
        output = run(WHERRY, "compose", "-p", self.project, "ps", "-q", cwd=self.dir, env=self.env).stdout
        self.assertEqual(output.strip(), self.container("a")["ID"])
        self.assertEqual(run(WHERRY, "version", "--short").stdout, run(WHERRY, "-v").stdout.split()[-1] + "\n")
        self.assertIn("payload", run(WHERRY, "image", "ls", env=self.env).stdout)
        self.assertEqual(run(WHERRY, "image", "ls", env=self.env).stdout, run(IMAGE_TOOL, "ls", env=self.env).stdout)

    def test_every_command_explains_itself(self):
        commands = re.findall(r"^  ([a-z]+) +[A-Z]", run(WHERRY, "--help").stdout.split("Commands:")[1], re.M)
        self.assertGreater(len(commands), 15)
        for command in commands:
            if command != "image":
                self.assertIn(f"Usage:  wherry {command} ", run(WHERRY, command, "--help").stdout)
                self.assertIn("unknown flag: --frob", self.fails(command, "--frob"))


if __name__ == "__main__":
    main()
