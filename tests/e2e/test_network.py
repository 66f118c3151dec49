#!/usr/bin/python3
"""Names, addresses, isolation and published ports. The test's own namespace stands for the host."""

import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import WherryTest, main, run, wait_for  # noqa: E402


def talk(address, port, kind=socket.SOCK_STREAM):
    """What a server says to us, or the error's name."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(3)
        try:
            s.connect((address, port))
            s.send(b"x")
            return s.recv(100).decode()
        except OSError as error:
            return type(error).__name__


class Network(WherryTest):
    def test_services_find_each_other_by_name_alias_and_container_name(self):
        self.compose("""
services:
  web: {image: payload, command: serve}
  db: {image: payload, command: tcp-server 5432 db, networks: {default: {aliases: [database]}}}
""")
        self.wherry("up", "-d")
        self.wait_log("db", "listening")
        for name in ("db", "database", "DB", f"{self.project}-db-1", f"db.{self.project}_default"):
            self.assertIn("db ", self.execute("web", "fetch", name, "5432").stdout, name)
        self.assertIn("rcode 0", self.execute("web", "resolve", "db", "tcp").stdout)

    def test_a_name_nobody_has_is_not_found(self):
        self.compose("services: {web: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        result = self.execute("web", "resolve", "nobody.invalid", check=False)
        self.assertNotIn("rcode 0", result.stdout)

    def test_replicas_answer_in_turn(self):
        self.compose("""
services:
  web: {image: payload, command: serve}
  worker: {image: payload, command: serve, deploy: {replicas: 3}}
""")
        self.wherry("up", "-d")
        answer = self.execute("web", "resolve", "worker").stdout.split()[2:]
        self.assertEqual(len(set(answer)), 3)

    def test_published_ports_reach_the_service_from_loopback_and_the_hosts_address(self):
        self.compose("""
services:
  all: {image: payload, command: tcp-server 80 all, ports: ["8101:80"]}
  local: {image: payload, command: tcp-server 80 local, ports: ["127.0.0.1:8102:80"]}
  udp: {image: payload, command: udp-server 53 udp, ports: ["8103:53/udp"]}
  client: {image: payload, command: serve}
""")
        self.wherry("up", "-d")
        for name in ("all", "local", "udp"):
            self.wait_log(name, "listening")
        self.assertIn("all", talk("127.0.0.1", 8101))
        self.assertIn("all", talk("198.51.100.1", 8101))
        self.assertIn("local", talk("127.0.0.1", 8102))
        self.assertNotIn("local", talk("198.51.100.1", 8102))
        self.assertEqual(talk("127.0.0.1", 8103, socket.SOCK_DGRAM), "udp")
        self.assertIn("all", self.execute("client", "fetch", "198.51.100.1", "8101").stdout)
        self.assertEqual(self.wherry("port", "all", "80").stdout.strip(), "0.0.0.0:8101")
        self.assertIn("8101->80/tcp", self.wherry("ps").stdout)

    def test_an_ephemeral_port_and_a_range(self):
        self.compose("""
services:
  a: {image: payload, command: tcp-server 80 a, ports: ["80"]}
  b: {image: payload, command: tcp-server 9001 b, ports: ["8110-8111:9000-9001"]}
""")
        self.wherry("up", "-d")
        self.wait_log("a", "listening")
        self.wait_log("b", "listening")
        address = self.wherry("port", "a", "80").stdout.strip()
        self.assertIn("a ", talk("127.0.0.1", int(address.split(":")[-1])))
        self.assertIn("b ", talk("127.0.0.1", 8111))

    def test_a_taken_port_is_an_error_that_names_port_and_holder(self):
        self.compose("services: {a: {image: payload, command: serve, ports: ['8120:80']}}")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("0.0.0.0", 8120))
            s.listen()
            error = self.fails("up", "-d")
            self.assertIn("8120", error)
            self.assertIn(f"pid {os.getpid()}", error)
            self.assertEqual(self.container("a")["State"], "created")
        self.wherry("up", "-d")
        self.assertEqual(self.container("a")["State"], "running")

    def test_a_published_port_is_held_and_let_go(self):
        self.compose("services: {a: {image: payload, command: serve, ports: ['8121:80']}}")
        self.wherry("up", "-d")
        with socket.socket() as s, self.assertRaises(OSError):
            s.bind(("0.0.0.0", 8121))
            s.listen()
        self.wherry("down")
        with socket.socket() as s:
            s.bind(("0.0.0.0", 8121))

    def test_networks_are_isolated_from_each_other(self):
        self.compose("""
services:
  a: {image: payload, command: tcp-server 80 a, networks: [one]}
  b: {image: payload, command: tcp-server 80 b, networks: [two]}
  both: {image: payload, command: serve, networks: [one, two]}
networks: {one: , two: }
""")
        self.wherry("up", "-d")
        self.wait_log("a", "listening")
        self.wait_log("b", "listening")
        self.assertIn("a ", self.execute("both", "fetch", "a", "80").stdout)
        self.assertIn("b ", self.execute("both", "fetch", "b", "80").stdout)
        self.assertNotEqual(self.execute("a", "resolve", "b", check=False).returncode, 0)
        address = re.search(r"rcode 0 (\S+)", self.execute("both", "resolve", "b").stdout).group(1)
        self.assertNotEqual(self.execute("a", "fetch", address, "80", check=False, timeout=30).returncode, 0)

    def test_the_address_survives_a_restart(self):
        self.compose("services: {a: {image: payload, command: serve}, c: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        before = self.execute("c", "resolve", "a").stdout
        self.wherry("restart", "a")
        self.assertEqual(self.execute("c", "resolve", "a").stdout, before)

    def test_a_service_can_be_a_dns_server_itself(self):
        self.compose("services: {a: {image: payload, command: udp-server 53 mine}, c: {image: payload, command: serve}}")
        self.wherry("up", "-d")
        self.wait_log("a", "listening")
        self.assertEqual(self.execute("c", "fetch", "a", "53", "udp").stdout, "mine")
        self.assertIn("rcode 0", self.execute("a", "resolve", "c").stdout)

    def test_network_mode_none(self):
        self.compose("services: {a: {image: payload, command: serve, network_mode: none}}")
        self.wherry("up", "-d")
        text = self.execute("a", "cat", "/proc/net/dev").stdout
        self.assertNotIn("eth0", text)


if __name__ == "__main__":
    main()
