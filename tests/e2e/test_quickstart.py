#!/usr/bin/python3
"""The quickstart as a user meets it: five real services, six containers, one job through all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import IMAGE_TOOL, SLOW, TOP, WHERRY, WherryTest, main, wait_for  # noqa: E402

COMPOSE = os.path.join(TOP, "examples/quickstart/compose.yaml")
IMAGES = ("postgres:15", "redis:7", "app:1", "nginx:1")
CONTAINERS = ["api-1", "postgres-1", "proxy-1", "redis-1", "worker-1", "worker-2"]
URL = "http://127.0.0.1:8080"
# docker's default set: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
# net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
DEFAULT_CAPABILITIES = "00000000a80425fb"


def state_folder():
    chosen = os.environ.get("WHERRY_QUICKSTART_STATE")
    if chosen:
        return chosen
    return "/quickstart" if os.path.isdir("/quickstart") else os.path.join(TOP, "build/quickstart-state")


def call(path, body=None):
    """JSON from the proxy, by way of the host's loopback."""
    request = urllib.request.Request(URL + path)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10 * SLOW) as answer:
        return json.load(answer)


class Quickstart(WherryTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="wherry-e2e-",
                                      dir=os.environ.get("WHERRY_TEST_DIR", "/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.state = state_folder()
        cls.run_dir = os.path.join(cls.folder, "run")
        cls.env = {key: value for key, value in os.environ.items()
                   if not key.startswith(("COMPOSE_", "POSTGRES_"))}
        cls.env.update(WHERRY_STATE_DIR=cls.state, WHERRY_RUN_DIR=cls.run_dir)
        cls.missing = [image for image in IMAGES if not os.path.isdir(cls.state) or subprocess.run(
            [IMAGE_TOOL, "path", f"wherry-quickstart/{image}"], env=cls.env, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0]

    @classmethod
    def tearDownClass(cls):
        """The state folder stays: its images took minutes to make."""

    def setUp(self):
        if self.missing:
            self.skipTest(f"no image of {', '.join(self.missing)} in {self.state}: "
                          "run examples/quickstart/images")
        super().setUp()

    def command(self, *words):
        return [WHERRY, "-f", COMPOSE, "-p", self.project, *words]

    def up(self):
        self.wherry("up", "-d", "--wait", "--wait-timeout", str(int(60 * SLOW)), timeout=90)

    def short_names(self):
        return sorted(name.removeprefix(f"{self.project}-") for name in self.ps())

    def do_job(self, text):
        number = call("/jobs", {"text": text})["id"]

        def done():
            job = call(f"/jobs/{number}")
            return job if job["status"] == "done" else None
        return number, wait_for(done, f"job {number} is done", 20, 0.05)

    def sql(self, statement):
        return self.wherry("exec", "-T", "postgres", "psql", "-U", "app", "-d", "app", "-At", "-c",
                           statement).stdout.strip()

    def volumes(self):
        folder = os.path.join(self.state, "volumes")
        return [name for name in (os.listdir(folder) if os.path.isdir(folder) else [])
                if name.startswith(self.project)]

    def test_a_job_goes_through_all_five_services(self):
        self.up()
        containers = self.ps()
        self.assertEqual(self.short_names(), CONTAINERS)
        self.assertEqual({item["Service"] for item in containers.values()},
                         {"api", "postgres", "proxy", "redis", "worker"})
        self.assertEqual({(item["State"], item["Health"]) for item in containers.values()},
                         {("running", "healthy")})
        number, job = self.do_job("ships carry words across the water")
        self.assertEqual(job["words"], 6)
        # What the API shows is what the worker wrote: the row is in the database itself.
        self.assertEqual(self.sql(f"SELECT words, longest, worker FROM results WHERE job = '{number}'"),
                         f"6|across|{job['worker']}")
        workers = [self.wherry("exec", "-T", "--index", str(index), "worker", "hostname").stdout.strip()
                   for index in (1, 2)]
        self.assertIn(job["worker"], workers)
        self.assertEqual(len(set(workers)), 2)
        with self.assertRaises(urllib.error.HTTPError) as unknown:
            call("/jobs/no-such-job")
        self.assertEqual(unknown.exception.code, 404)
        unknown.exception.close()

    def test_nothing_runs_as_root_and_every_default_guard_is_on(self):
        self.up()
        self.assertEqual(self.wherry("exec", "-T", "api", "id", "-u").stdout, "1000\n")
        status = dict(line.split(":\t", 1) for line in self.wherry(
            "exec", "-T", "api", "cat", "/proc/self/status").stdout.splitlines() if ":\t" in line)
        self.assertEqual(status["CapBnd"], DEFAULT_CAPABILITIES)
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(status["Seccomp"], "2")
        for service in ("postgres", "redis", "api", "worker", "proxy"):
            self.assertNotEqual(self.wherry("exec", "-T", service, "id", "-u").stdout, "0\n", service)
        # Code is mounted read-only, even for root.
        write = self.wherry("exec", "-T", "-u", "0", "api", "touch", "/app/main.py", check=False)
        self.assertNotEqual(write.returncode, 0)
        self.assertIn("Read-only file system", write.stderr)

    def test_only_the_proxy_is_published_and_only_on_loopback(self):
        self.up()
        published = {item["Service"] for item in self.ps().values()
                     if any(port["PublishedPort"] for port in item["Publishers"] or [])}
        self.assertEqual(published, {"proxy"})
        with self.assertRaises(OSError):
            urllib.request.urlopen("http://198.51.100.1:8080/health", timeout=2 * SLOW)

    def test_a_killed_worker_gets_a_new_life_and_its_logs_show_both(self):
        self.up()
        # A health check may be among the processes at any moment: the first ones are what counts.
        first, other = self.container("worker", 1)["Pid"], self.container("worker", 2)["Pid"]
        # The worker itself, below the init of its container.
        self.kill(sorted(self.pids("worker", 1))[1])
        wait_for(lambda: self.container("worker", 1).get("Pid") not in (None, 0, first),
                 "worker 1 lives again", 20, 0.05)
        self.assertEqual(self.container("worker", 2)["Pid"], other)
        wait_for(lambda: self.container("worker", 1).get("Health") == "healthy", "it is healthy", 30)
        wait_for(lambda: self.wherry("logs", "--no-color", "worker").stdout.count("Listening on") == 3,
                 "three lives of two workers in the logs", 20, 0.05)
        self.assertEqual(self.do_job("one two three")[1]["words"], 3)

    def test_rows_outlive_down_and_go_with_the_volume(self):
        self.up()
        number, _ = self.do_job("kept")
        self.wherry("down")
        self.assertEqual(len(self.volumes()), 1)
        self.up()
        self.assertEqual(self.sql("SELECT job FROM results"), number)
        self.wherry("down", "-v")
        self.assertEqual(self.volumes(), [])


main()
