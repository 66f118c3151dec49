"""End-to-end tests: a private network and mount namespace stands for the host, every test has
folders and a project of its own, and nothing may be left behind when it ends.

    from harness import WherryTest, main
    class Thing(WherryTest):
        def test_it_does_this(self):
            self.compose("services: {a: {image: payload, command: serve}}")
            self.wherry("up", "-d")
    main()
"""

import glob
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WHERRY_BUILD", os.path.join(TOP, "build"))
WHERRY = os.path.join(BUILD, "wherry")
IMAGE_TOOL = os.path.join(BUILD, "wherry-image")
PAYLOAD = os.path.join(TOP, "build/tests/payload")
# Under emulation everything takes ten times as long.
SLOW = float(os.environ.get("WHERRY_TEST_SLOW", "1"))


def enter_namespaces():
    """Runs this program again in namespaces of its own, with an "outside" behind a dummy link."""
    if os.environ.get("WHERRY_TEST_NS") == "1":
        return
    os.environ["WHERRY_TEST_NS"] = "1"
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    setup = ("ip link set lo up && ip link add out0 type veth peer name out1 && ip link set out1 up && ip addr add 198.51.100.1/24 dev out0"
             " && ip link set out0 up && ip route add default via 198.51.100.254 && exec \"$@\"")
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
                          setup, "sh", "/usr/bin/python3", *sys.argv])


def wait_for(condition, what, seconds=10.0, step=0.01):
    """Waits until condition() is true and gives its value; fails naming @what."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(step)


def run(*command, check=True, timeout=60, text=True, **options):
    """A command with a deadline and captured output; a failure shows what it said."""
    result = subprocess.run(command, timeout=timeout * SLOW, text=text, check=False,
                            stdin=options.pop("stdin", subprocess.DEVNULL if "input" not in options
                                              else None),
                            stdout=options.pop("stdout", subprocess.PIPE),
                            stderr=options.pop("stderr", subprocess.PIPE), **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {result.returncode}\n"
                             f"stdout: {result.stdout}\nstderr: {result.stderr}")
    return result


def payload_tar(path, extra=()):
    """A test image's root: the payload program, users, and what @extra adds as (TarInfo, bytes)."""
    def folder(name, mode=0o755, uid=0):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, uid, uid
        return info, b""

    def file(name, data, mode=0o644, uid=0):
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.uid, info.gid = len(data), mode, uid, uid
        return info, data

    with open(PAYLOAD, "rb") as program:
        binary = program.read()
    passwd = "root:x:0:0:root:/root:/payload\napp:x:1000:1000:app:/home/app:/payload\n1000:x:0:0:::\n"
    group = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"
    entries = [folder("etc"), folder("tmp", 0o1777), folder("home"), folder("home/app", 0o700, 1000),
               folder("root", 0o700), folder("data", 0o750, 1000), folder("bin"),
               file("data/seed", b"from the image\n", 0o640, 1000),
               file("etc/passwd", passwd.encode()), file("etc/group", group.encode()),
               file("payload", binary, 0o755), file("bin/not-executable", b"#!/payload\n", 0o644),
               *extra]
    with tarfile.open(path, "w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))


class WherryTest(unittest.TestCase):
    """One project: folders, compose file, and the comparison of before and after."""

    state = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="wherry-e2e-", dir=os.environ.get("WHERRY_TEST_DIR", "/var/tmp"))
        cls.state = os.path.join(cls.folder, "state")
        cls.run_dir = os.path.join(cls.folder, "run")
        cls.env = {key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")}
        cls.env.update(WHERRY_STATE_DIR=cls.state, WHERRY_RUN_DIR=cls.run_dir)
        tar = os.path.join(cls.folder, "payload.tar")
        payload_tar(tar)
        run(IMAGE_TOOL, "import", "--entrypoint", '["/payload"]', "--cmd", '["serve"]', tar, "payload",
            env=cls.env)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        name = re.sub(r"[^a-z0-9]", "", self.id().split(".")[-1].replace("test_", ""))[:24]
        self.project = f"t{os.getpid()}{name}"
        self.dir = os.path.join(self.folder, self.project)
        os.makedirs(self.dir)
        self.background = []
        self.before = self.snapshot()

    def tearDown(self):
        for process in self.background:
            if process.poll() is None:
                process.kill()
            process.communicate()
        if os.path.isdir(os.path.join(self.run_dir, self.project)):
            self.wherry("down", "-v", "-t", "1", "--remove-orphans")
        self.assert_nothing_left()

    # What a project may not leave behind.

    def snapshot(self):
        groups = [path for mount in glob.glob("/sys/fs/cgroup/*") + ["/sys/fs/cgroup"]
                  for path in glob.glob(f"{mount}/wherry/{self.project}*")]
        return {
            "interfaces": sorted(link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout)),
            "nftables": run("nft", "list", "ruleset").stdout,
            "mounts": sorted(line.split(" ", 2)[2] for line in open("/proc/self/mountinfo")),
            "cgroups": groups,
            "processes": self.processes(),
            "run folder": sorted(name for name in os.listdir(self.run_dir)
                                 if name == self.project) if os.path.isdir(self.run_dir) else [],
            "containers": sorted(os.listdir(os.path.join(self.state, "containers")))
                          if os.path.isdir(os.path.join(self.state, "containers")) else [],
            "ip_forward": open("/proc/sys/net/ipv4/ip_forward").read(),
        }

    def processes(self):
        """Guardian and supervisor of this project: the only processes of ours on the host."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                words = open(path, "rb").read().split(b"\0")
            except OSError:
                continue
            if self.project.encode() in words and b"__guardian" in words:
                found.append(int(path.split("/")[2]))
        return found

    def assert_nothing_left(self):
        def left():
            now = self.snapshot()
            # What another program unmounts meanwhile is none of our business.
            now["mounts"] = [line for line in now["mounts"] if line not in self.before["mounts"]]
            before = dict(self.before, mounts=[])
            return {key: (before[key], now[key]) for key in now if now[key] != before[key]}
        try:
            wait_for(lambda: not left(), "nothing is left behind", 5)
        except AssertionError:
            raise AssertionError(f"left behind (before, now): {left()}") from None

    # Commands.

    def compose(self, text, name="compose.yaml"):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
            file.write(text)

    def command(self, *words):
        return [WHERRY, "-p", self.project, *words]

    def wherry(self, *words, **options):
        options.setdefault("cwd", self.dir)
        options.setdefault("env", self.env)
        return run(*self.command(*words), **options)

    def start(self, *words, **options):
        """A command in the background; ended at the end of the test."""
        options = {"cwd": self.dir, "env": self.env, "stdin": subprocess.DEVNULL,
                   "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        process = subprocess.Popen(self.command(*words), **options)
        self.background.append(process)
        return process

    def fails(self, *words, status=1, **options):
        """Runs a command that has to fail with @status; gives its standard error."""
        result = self.wherry(*words, check=False, **options)
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout}{result.stderr}")
        return result.stderr

    def ps(self, *words):
        """Containers by name, as `ps -a --format json` tells them."""
        output = self.wherry("ps", "-a", "--format", "json", *words).stdout
        return {item["Name"]: item for item in map(json.loads, output.splitlines())}

    def container(self, service, number=1):
        return self.ps().get(f"{self.project}-{service}-{number}", {})

    def wait_state(self, service, state, number=1, seconds=10):
        return wait_for(lambda: self.container(service, number).get("State") == state and
                        self.container(service, number), f"{service} is {state}", seconds, 0.05)

    def wait_health(self, service, health, seconds=10):
        return wait_for(lambda: self.container(service).get("Health") == health,
                        f"{service} is {health}", seconds, 0.05)

    def logs(self, *words):
        return self.wherry("logs", "--no-color", "--no-log-prefix", *words).stdout

    def wait_log(self, service, text, seconds=10):
        return wait_for(lambda: text in self.logs(service) and self.logs(service),
                        f"{service} logs {text!r}", seconds, 0.05)

    def execute(self, service, *words, **options):
        return self.wherry("exec", "-T", service, "/payload", *words, **options)

    def ls(self):
        """This project's entry of `ls`: SupervisorPid, GuardianPid, RunDir."""
        for item in json.loads(self.wherry("ls", "-a", "--format", "json").stdout):
            if item["Name"] == self.project:
                return item
        return None

    def pid(self, service, number=1):
        """Host pid of a service's first process, from its control group."""
        return self.pids(service, number)[0]

    def pids(self, service, number=1):
        output = self.wherry("top", service).stdout
        rows = [line.split() for line in output.splitlines()[1:] if line.strip()]
        return [int(row[3]) for row in rows if row[1] == str(number)]

    def kill(self, pid, number=signal.SIGKILL):
        os.kill(pid, number)


class TapResult(unittest.TestResult):
    """Prints a TAP line a test, and the trace of what failed."""

    def line(self, word, test, extra=""):
        print(f"{word} {self.testsRun} - {test.id().split('.', 1)[-1]}{extra}", flush=True)

    def addSuccess(self, test):
        self.line("ok", test)

    def trouble(self, test, error):
        self.line("not ok", test)
        print("".join("# " + line + "\n" for line in "".join(
            traceback.format_exception(*error)).splitlines()), end="", flush=True)

    def addError(self, test, error):
        super().addError(test, error)
        self.trouble(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.trouble(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, f" # SKIP {reason}")


def main():
    """Runs the tests of the calling file (those whose name holds a word of the command line)."""
    loader = unittest.TestLoader()
    tests = loader.loadTestsFromModule(sys.modules["__main__"])
    if len(sys.argv) > 1:
        chosen = unittest.TestSuite()
        for group in tests:
            for test in group:
                if any(word in test.id() for word in sys.argv[1:]):
                    chosen.addTest(test)
        # A suite of chosen tests still needs its class fixtures.
        tests = chosen
    result = TapResult()
    tests.run(result)
    print(f"1..{result.testsRun}")
    sys.exit(0 if result.wasSuccessful() else 1)


enter_namespaces()
