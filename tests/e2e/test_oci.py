#!/usr/bin/python3
"""wherry-oci: a bundle from run to the last trace of it."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import BUILD, main, payload_tar, run, wait_for  # noqa: E402

OCI = os.path.join(BUILD, "wherry-oci")


class Oci(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="wherry-oci-", dir=os.environ.get("WHERRY_TEST_DIR", "/var/tmp"))
        cls.bundle = os.path.join(cls.folder, "bundle")
        cls.root = os.path.join(cls.folder, "root")
        rootfs = os.path.join(cls.bundle, "rootfs")
        os.makedirs(rootfs)
        tar = os.path.join(cls.folder, "payload.tar")
        payload_tar(tar)
        with tarfile.open(tar) as archive:
            archive.extractall(rootfs, numeric_owner=True)
        run(OCI, "--root", cls.root, "spec", "--bundle", cls.bundle)
        with open(os.path.join(cls.bundle, "config.json"), encoding="utf-8") as file:
            cls.config = json.load(file)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.name = f"t{os.getpid()}-{self.id().split('.')[-1][5:45]}"
        self.background = []
        self.configure("/payload", "exit", "0")

    def tearDown(self):
        for process in self.background:
            process.kill()
            process.wait()
        self.oci("delete", "--force", self.name)
        for process in self.background:
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()
        self.assertEqual(self.left(), [])

    def left(self):
        """What is still there of this test's container."""
        folder = os.path.join(self.root, self.name)
        return [path for path in glob.glob(f"/sys/fs/cgroup/*{self.name}*")
                + glob.glob(f"/sys/fs/cgroup/*/*{self.name}*") + [folder] if os.path.exists(path)]

    def configure(self, *args, **process):
        """Writes the bundle's config.json with this command; gives it for further changes."""
        config = json.loads(json.dumps(self.config))
        config["process"].update(process, args=list(args))
        self.write(config)
        return config

    def write(self, config):
        with open(os.path.join(self.bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)

    def oci(self, *words, **options):
        return run(OCI, "--root", self.root, *words, check=False, **options)

    def run_bundle(self, *words, **options):
        return self.oci("run", "--bundle", self.bundle, *words, self.name, **options)

    def start(self, *words):
        process = subprocess.Popen([OCI, "--root", self.root, "run", "--bundle", self.bundle, *words, self.name],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.background.append(process)
        wait_for(lambda: self.state().get("pid"), "the container runs")
        return process

    def state(self):
        try:
            with open(os.path.join(self.root, self.name, "state.json"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def test_the_exit_status_is_the_process_own(self):
        for args, status in ((("exit", "0"), 0), (("exit", "7"), 7), (("exit", "255"), 255)):
            self.configure("/payload", *args)
            self.assertEqual(self.run_bundle().returncode, status)
            self.assertEqual(self.left(), [])

    def test_a_command_that_cannot_be_executed_gives_127_or_126(self):
        self.configure("/no/such/program")
        result = self.run_bundle()
        self.assertEqual(result.returncode, 127)
        self.assertIn("/no/such/program", result.stderr)
        self.configure("/bin/not-executable")
        self.assertEqual(self.run_bundle().returncode, 126)
        self.assertEqual(self.left(), [])

    def test_output_is_passed_on_and_the_policy_holds(self):
        self.configure("/payload", "cat", "/proc/self/status")
        result = self.run_bundle()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Seccomp:\t2\n", result.stdout)
        self.assertIn("CapEff:\t00000000a80425fb\n", result.stdout)
        self.assertIn("SigBlk:\t0000000000000000\n", result.stdout)

    def test_another_policy_is_compiled_once_and_kept(self):
        config = self.configure("/payload")
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["sethostname", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}
        config["process"]["args"] = ["/payload", "cat", "/proc/self/status"]
        self.write(config)
        cache = os.path.join(self.root, ".seccomp")
        before = set(os.listdir(cache)) if os.path.isdir(cache) else set()
        self.assertIn("Seccomp:\t2\n", self.run_bundle().stdout)
        self.assertEqual(len(set(os.listdir(cache)) - before), 1)
        self.assertIn("Seccomp:\t2\n", self.run_bundle().stdout)
        self.assertEqual(len(set(os.listdir(cache)) - before), 1)

    def test_open_descriptors_of_the_caller_are_no_way_out(self):
        secret = os.path.join(self.folder, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("of the host")
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.dup2(folder, 19)
            os.set_inheritable(19, True)
            for fd in range(3, 21):
                self.configure("/payload", "cat", "secret", cwd=f"/proc/self/fd/{fd}")
                result = self.run_bundle(pass_fds=(19,))
                self.assertNotEqual(result.returncode, 0)
                self.assertNotIn("of the host", result.stdout)
            self.configure("/payload", "fds")
            self.assertEqual(self.run_bundle(pass_fds=(19,)).stdout.split(), ["0", "1", "2"])
        finally:
            os.close(folder)
            os.close(19)

    def test_ids_that_are_no_names_are_refused(self):
        for name in ("", ".", "..", "../a", "a/b", ".seccomp", "a b", "x" * 256):
            result = self.oci("run", "--bundle", self.bundle, name)
            self.assertEqual(result.returncode, 1, name)
            self.assertIn("container id", result.stderr)

    def test_an_id_in_use_is_refused_and_its_container_untouched(self):
        self.configure("/payload", "serve")
        first = self.start()
        pid = self.state()["pid"]
        result = self.run_bundle()
        self.assertEqual(result.returncode, 1)
        self.assertIn("exists already", result.stderr)
        self.assertEqual(self.state()["pid"], pid)
        self.assertIsNone(first.poll())
        self.assertNotEqual(self.left(), [])

    def test_a_group_of_somebody_else_is_left_alone(self):
        config = self.configure("/payload", "serve")
        config["linux"]["cgroupsPath"] = f"/{self.name}-shared"
        self.write(config)
        first = self.start()
        result = self.oci("run", "--bundle", self.bundle, self.name + "-b")
        self.assertEqual(result.returncode, 1)
        self.assertIn("exists", result.stderr.lower())
        self.assertFalse(os.path.exists(os.path.join(self.root, self.name + "-b")))
        self.assertIsNone(first.poll())

    def test_signals_reach_the_process(self):
        self.configure("/payload", "serve")
        process = self.start()
        # What runs as PID 1 ignores a signal that it does not catch yet.
        path = f"/proc/{self.state()['pid']}/status"

        def catches():
            with open(path, encoding="utf-8") as file:
                mask = [line for line in file if line.startswith("SigCgt:")][0].split()[1]
            return int(mask, 16) >> (signal.SIGTERM - 1) & 1

        wait_for(catches, "the payload has its handler")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertIn("caught signal 15", out)
        self.assertEqual(self.left(), [])

    def test_a_container_whose_run_was_killed_is_ended_by_delete(self):
        self.configure("/payload", "serve")
        process = self.start()
        pid = self.state()["pid"]
        process.kill()
        process.wait()
        result = self.oci("delete", self.name)
        self.assertEqual(result.returncode, 1)
        self.assertIn("is running", result.stderr)
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        result = self.oci("delete", "--force", self.name)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.left(), [])

    def test_delete_with_force_ends_run_too(self):
        self.configure("/payload", "serve")
        process = self.start()
        self.assertEqual(self.oci("delete", "-f", self.name).returncode, 0)
        _, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, err), (137, ""))

    def test_keep_leaves_the_record_for_delete(self):
        self.assertEqual(self.run_bundle("--keep").returncode, 0)
        self.assertNotEqual(self.left(), [])
        self.assertEqual(self.oci("delete", self.name).returncode, 0)
        self.assertEqual(self.left(), [])

    def test_deleting_what_is_not_there_fails_unless_forced(self):
        result = self.oci("delete", self.name)
        self.assertEqual(result.returncode, 1)
        self.assertIn("does not exist", result.stderr)
        self.assertEqual(self.oci("delete", "--force", self.name).returncode, 0)

    def test_a_torn_record_is_named_and_can_be_removed(self):
        folder = os.path.join(self.root, self.name)
        for text in ("", "{\"id\":", "[]", "{\"id\":\"other\",\"wherry\":1,\"pid\":1}"):
            os.makedirs(folder)
            with open(os.path.join(folder, "state.json"), "w", encoding="utf-8") as file:
                file.write(text)
            result = self.oci("delete", self.name)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"state of container {self.name}", result.stderr)
            self.assertEqual(self.oci("delete", "--force", self.name).returncode, 0)

    def test_the_record_of_another_boot_kills_nobody(self):
        sleeper = subprocess.Popen(["sleep", "1000"])
        self.background.append(sleeper)
        with open(f"/proc/{sleeper.pid}/stat", encoding="utf-8") as file:
            start = int(file.read().rsplit(")", 1)[1].split()[19])
        folder = os.path.join(self.root, self.name)
        os.makedirs(folder)
        with open(os.path.join(folder, "state.json"), "w", encoding="utf-8") as file:
            json.dump({"wherry": 1, "id": self.name, "pid": sleeper.pid, "startTime": start,
                       "bootId": "00000000-0000-0000-0000-000000000000"}, file)
        self.assertEqual(self.oci("delete", "--force", self.name).returncode, 0)
        self.assertIsNone(sleeper.poll())

    def test_the_pid_file_names_the_process(self):
        self.configure("/payload", "serve")
        path = os.path.join(self.folder, "pid")
        self.start("--pid-file", path)
        wait_for(lambda: os.path.exists(path), "the pid file is there")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), self.state()["pid"])

    def test_what_is_not_supported_is_refused_by_name(self):
        config = self.configure("/payload", "exit", "0")
        config["hooks"] = {"prestart": [{"path": "/bin/true"}]}
        self.write(config)
        result = self.run_bundle()
        self.assertEqual(result.returncode, 1)
        self.assertIn("hooks: not supported", result.stderr)
        self.assertEqual(self.left(), [])
        result = self.oci("run", "--bundle", "/nowhere", self.name)
        self.assertIn("/nowhere", result.stderr)

    def test_whatever_call_fails_nothing_is_left(self):
        for number in range(1, 2000):
            env = dict(os.environ, WHERRY_FAULT=f"*:{number}:5")
            result = self.run_bundle(env=env, timeout=30)
            if result.returncode == 0 and not result.stderr:
                # Past the last call, or one whose failure does not matter.
                self.misses = getattr(self, "misses", 0) + 1
                if self.misses > 60:
                    break
            else:
                self.misses = 0
            if self.left():
                # Removing may be what failed; then delete finishes it.
                self.assertNotEqual(result.returncode, 0, f"call {number}")
                self.assertEqual(self.oci("delete", "--force", self.name).returncode, 0)
                self.assertEqual(self.left(), [], f"call {number}")
        self.assertGreater(number, 100)


if __name__ == "__main__":
    main()
