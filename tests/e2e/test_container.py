#!/usr/bin/python3
"""What a service finds inside its container, and what the file may change about it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WherryTest, main, run, wait_for  # noqa: E402


class Container(WherryTest):
    def one(self, keys="", extra=""):
        """Starts the service `a` with these keys."""
        self.compose(f"services:\n  a:\n    image: payload\n    command: serve\n{keys}{extra}")
        self.wherry("up", "-d")

    def status(self, field):
        for line in self.execute("a", "cat", "/proc/self/status").stdout.splitlines():
            if line.startswith(field + ":"):
                return line.split(None, 1)[1].strip()
        return None

    def test_default_capabilities_seccomp_and_descriptors(self):
        self.one()
        self.assertEqual(self.status("CapEff"), "00000000a80425fb")
        self.assertEqual(self.status("CapBnd"), "00000000a80425fb")
        self.assertEqual(self.status("CapInh"), "0000000000000000")
        self.assertEqual(self.status("Seccomp"), "2")
        self.assertEqual(self.execute("a", "fds").stdout.split(), ["0", "1", "2"])

    def test_the_first_process_has_them_too(self):
        self.compose("services: {a: {image: payload, command: cat /proc/self/status -- fds -- serve}}")
        self.wherry("up", "-d")
        text = self.wait_log("a", "0 1 2")
        self.assertIn("CapEff:\t00000000a80425fb", text)
        self.assertIn("Seccomp:\t2", text)
        self.assertIn("\n0 1 2 \n", text)
        self.assertIn("NSpid:\t1", text.replace("NSpid:\t1\n", "NSpid:\t1\n"))

    def test_capabilities_added_and_dropped(self):
        self.one("    cap_drop: [ALL]\n    cap_add: [NET_BIND_SERVICE]\n")
        self.assertEqual(self.status("CapBnd"), "0000000000000400")

    def test_a_plain_user_has_no_capabilities(self):
        self.one('    user: "1000:1000"\n')
        self.assertEqual(self.status("CapEff"), "0000000000000000")
        self.assertEqual(self.execute("a", "id").stdout, "uid=1000 gid=1000 groups=1000\n")

    def test_a_user_by_name_gets_the_images_groups_and_home(self):
        self.one("    user: app\n")
        self.assertEqual(self.execute("a", "id").stdout, "uid=1000 gid=1000 groups=1000,2000\n")
        self.assertEqual(self.execute("a", "env", "HOME").stdout, "/home/app\n")

    def test_a_number_is_a_uid_even_if_a_name_looks_like_it(self):
        self.one('    user: "1000"\n')
        self.assertIn("uid=1000 ", self.execute("a", "id").stdout)

    def test_no_new_privileges_and_read_only(self):
        self.one("    security_opt: [no-new-privileges:true]\n    read_only: true\n    tmpfs: [/scratch]\n")
        self.assertEqual(self.status("NoNewPrivs"), "1")
        self.assertNotEqual(self.execute("a", "write", "/x", "1", check=False).returncode, 0)
        self.execute("a", "write", "/scratch/x", "1")

    def test_hostname_names_and_environment(self):
        self.one("    hostname: box\n    environment: {A: 'x $$y', B: }\n    working_dir: /tmp\n")
        self.assertEqual(self.execute("a", "hostname").stdout, "box\n")
        self.assertEqual(self.execute("a", "env", "HOSTNAME").stdout, "box\n")
        self.assertEqual(self.execute("a", "env", "A").stdout, "x $y\n")
        self.assertEqual(self.execute("a", "env", "B").stdout, "")
        self.assertEqual(self.execute("a", "pwd").stdout, "/tmp\n")
        self.assertIn("box", self.execute("a", "cat", "/etc/hosts").stdout)
        self.assertIn("nameserver 127.0.0.11", self.execute("a", "cat", "/etc/resolv.conf").stdout)

    def test_hostname_defaults_to_the_short_id(self):
        self.one()
        self.assertEqual(self.execute("a", "hostname").stdout.strip(), self.container("a")["ID"][:12])

    def test_extra_hosts(self):
        self.one('    extra_hosts: ["other:10.9.8.7"]\n')
        self.assertIn("10.9.8.7\tother", self.execute("a", "cat", "/etc/hosts").stdout)

    def test_masked_and_read_only_paths(self):
        self.one()
        self.assertEqual(self.execute("a", "cat", "/proc/interrupts").stdout, "")
        result = self.execute("a", "write", "/proc/sys/kernel/hostname", "x", check=False)
        self.assertIn("Read-only", result.stderr)

    def test_sysctls_and_ulimits(self):
        self.one("    sysctls: {net.core.somaxconn: 77}\n    ulimits: {nofile: {soft: 500, hard: 600}}\n")
        self.assertEqual(self.execute("a", "cat", "/proc/sys/net/core/somaxconn").stdout, "77\n")
        self.assertEqual(self.execute("a", "rlimit", "7").stdout, "500 600\n")

    def test_a_limit_above_ours_is_clamped_and_said(self):
        self.compose("services: {a: {image: payload, command: serve, ulimits: {nofile: 99999999}}}")
        result = self.wherry("up", "-d")
        self.assertIn("nofile", result.stderr)
        self.assertIn("compose.yaml:1:", result.stderr)
        soft, hard = map(int, self.execute("a", "rlimit", "7").stdout.split())
        self.assertGreater(soft, 0)
        self.assertLess(soft, 99999999)
        self.assertEqual(soft, hard)

    def test_a_new_named_volume_takes_over_the_images_content_and_owner(self):
        self.one("    volumes: [data:/data]\n", "volumes: {data: }\n")
        self.assertEqual(self.execute("a", "cat", "/data/seed").stdout, "from the image\n")
        self.assertTrue(self.execute("a", "stat", "/data").stdout.startswith("750 1000:1000"))
        self.execute("a", "write", "/data/seed", "changed")
        self.wherry("down")
        self.wherry("up", "-d")
        self.assertEqual(self.execute("a", "cat", "/data/seed").stdout, "changed")
        self.wherry("down", "-v")
        self.wherry("up", "-d")
        self.assertEqual(self.execute("a", "cat", "/data/seed").stdout, "from the image\n")

    def test_replicas_that_start_together_share_a_new_volume(self):
        self.one("    volumes: [data:/data]\n    deploy: {replicas: 5}\n", "volumes: {data: }\n")
        self.assertEqual({item["State"] for item in self.ps().values()}, {"running"})
        for index in range(1, 6):
            output = self.wherry("exec", "-T", "--index", str(index), "a", "/payload", "cat", "/data/seed").stdout
            self.assertEqual(output, "from the image\n")

    def test_bind_mounts_read_write_and_read_only(self):
        os.makedirs(os.path.join(self.dir, "host"))
        with open(os.path.join(self.dir, "host/file"), "w", encoding="utf-8") as file:
            file.write("hello")
        self.one("    volumes: [./host:/rw, ./host:/ro:ro, ./host/file:/one]\n")
        self.assertEqual(self.execute("a", "cat", "/one").stdout, "hello")
        self.execute("a", "write", "/rw/new", "x")
        self.assertTrue(os.path.exists(os.path.join(self.dir, "host/new")))
        self.assertIn("Read-only", self.execute("a", "write", "/ro/new", "x", check=False).stderr)

    def test_a_missing_bind_source_is_made_or_refused(self):
        self.one("    volumes: [./made:/m]\n")
        self.assertTrue(os.path.isdir(os.path.join(self.dir, "made")))
        self.wherry("down")
        self.compose("services: {a: {image: payload, command: serve, volumes: "
                     "[{type: bind, source: ./no, target: /m, bind: {create_host_path: false}}]}}")
        self.assertIn("no", self.fails("up", "-d"))

    def test_tmpfs_options(self):
        self.one("    volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}]\n")
        self.assertTrue(self.execute("a", "stat", "/t").stdout.startswith("700 "))
        self.assertIn("size=1024k", self.execute("a", "cat", "/proc/mounts").stdout)

    def test_data_written_in_the_container_survives_a_restart_but_not_a_recreate(self):
        self.one()
        self.execute("a", "write", "/tmp/x", "1")
        self.wherry("restart", "a")
        self.execute("a", "exists", "/tmp/x")
        self.wherry("up", "-d", "--force-recreate")
        self.assertEqual(self.execute("a", "exists", "/tmp/x", check=False).returncode, 1)

    def test_command_not_found_and_not_executable(self):
        self.compose("services: {a: {image: payload, entrypoint: [/nope]}}")
        self.assertIn("/nope", self.fails("up", "-d"))
        self.assertEqual(self.container("a")["ExitCode"], 127)
        self.compose("services: {a: {image: payload, entrypoint: [/bin/not-executable]}}")
        self.assertIn("/bin/not-executable", self.fails("up", "-d"))
        self.assertEqual(self.container("a")["ExitCode"], 126)

    def test_an_unknown_user_is_named(self):
        self.compose("services: {a: {image: payload, user: nobody-here}}")
        self.assertIn("unable to find user nobody-here", self.fails("up", "-d"))

    def test_init_reaps_and_forwards(self):
        self.one("    init: true\n")
        self.assertEqual(self.execute("a", "spawn-orphans", "50").returncode, 0)
        wait_for(lambda: len(self.pids("a")) == 2, "zombies are reaped")
        self.wherry("stop", "a")
        self.assertIn("caught signal 15", self.logs("a"))

    def test_exec_options_and_exit_codes(self):
        self.one()
        self.assertEqual(self.execute("a", "exit", "7", check=False).returncode, 7)
        result = self.wherry("exec", "-T", "-e", "K=v", "-u", "1000", "-w", "/tmp", "a", "/payload",
                             "env", "K", "--", "id", "--", "pwd")
        self.assertEqual(result.stdout, "v\nuid=1000 gid=1000 groups=1000,2000\n/tmp\n")
        self.assertEqual(self.wherry("exec", "-T", "a", "/nope", check=False).returncode, 127)
        self.assertEqual(self.wherry("exec", "-T", "a", "/bin/not-executable", check=False).returncode, 126)
        self.assertIn("no such service: b", self.fails("exec", "-T", "b", "/payload", "id"))
        self.wherry("stop", "-t", "1")
        self.assertIn('service "a" is not running', self.fails("exec", "-T", "a", "/payload", "id"))

    def test_exec_lands_in_the_container_also_from_inside_a_chroot(self):
        root = os.path.join(self.folder, "chroot")
        os.makedirs(root)
        run("mount", "--rbind", "/", root)

        def inside(*words):
            return run("chroot", root, "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", self.dir,
                       *self.command(*words), env=self.env)
        try:
            self.compose("services: {a: {image: payload, command: serve, init: true}}")
            inside("up", "-d")
            self.assertEqual(inside("exec", "-T", "-u", "app", "a", "/payload", "cat", "/data/seed").stdout,
                             "from the image\n")
            inside("down", "-v")
        finally:
            run("umount", "-R", "-l", root)

    def test_exec_passes_input_and_output(self):
        self.one()
        data = "x" * 300000
        self.assertEqual(self.execute("a", "cat", input=data).stdout, data)

    def test_run_gives_the_exit_code_and_removes_the_container(self):
        self.compose("services: {a: {image: payload, command: serve, ports: ['8099:80']}}")
        result = self.wherry("run", "--rm", "-T", "a", "echo", "hi", "--", "exit", "5", check=False)
        self.assertEqual((result.returncode, result.stdout), (5, "hi\n"))
        self.assertEqual(self.ps(), {})

    def test_a_pids_limit_holds(self):
        self.one("    pids_limit: 10\n")
        result = self.execute("a", "fork", "50", check=False)
        self.assertLess(int(result.stdout.split()[-1]), 10)

    def test_memory_beyond_the_limit_is_an_oom_kill_of_that_service_alone(self):
        self.compose("""
services:
  greedy: {image: payload, command: sleep-ms 200 -- eat-memory 200, mem_limit: 32m, restart: "on-failure:1"}
  other: {image: payload, command: serve}
""")
        self.wherry("up", "-d")
        other = self.pid("other")
        item = self.wait_state("greedy", "exited", seconds=20)
        self.assertEqual(item["ExitCode"], 137)
        self.assertIn("OOM", self.wherry("ps", "-a").stdout)
        self.assertEqual(self.pid("other"), other)

    def test_nothing_of_the_container_shows_in_the_hosts_mount_table(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            before = file.read()
        self.one("    volumes: [data:/data]\n    tmpfs: [/t]\n", "volumes: {data: }\n")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertEqual(file.read(), before)


if __name__ == "__main__":
    main()
