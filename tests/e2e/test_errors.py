#!/usr/bin/python3
"""Mistakes a person makes: one clear message that says where, the documented exit code."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from harness import IMAGE_TOOL, WherryTest, main, run  # noqa: E402

# name, compose text, what the message must hold (the place first)
MISTAKES = [
    ("syntax", "services:\n  a: {image: payload\n  b: 1\n", ["compose.yaml:"]),
    ("tab", "services:\n\ta: 1\n", ["compose.yaml:2:1"]),
    ("unknown_key", "services:\n  a:\n    image: payload\n    restrat: always\n",
     ["compose.yaml:4:5", "restrat", "restart", "^"]),
    ("wrong_type", "services:\n  a:\n    image: payload\n    init: [1]\n", ["compose.yaml:4:", "init"]),
    ("undefined_volume", "services:\n  a:\n    image: payload\n    volumes: [data:/data]\n",
     ["compose.yaml:4:", "undefined volume data"]),
    ("undefined_network", "services:\n  a:\n    image: payload\n    networks: [back]\n",
     ["compose.yaml:4:", "undefined network back"]),
    ("undefined_secret", "services:\n  a:\n    image: payload\n    secrets: [s]\n",
     ["compose.yaml:4:", "undefined secret s"]),
    ("undefined_dependency", "services:\n  a:\n    image: payload\n    depends_on: [b]\n",
     ["compose.yaml:4:", 'depends on undefined service "b"']),
    ("cycle", "services:\n  a: {image: payload, depends_on: [b]}\n  b: {image: payload, depends_on: [a]}\n",
     ["dependency cycle detected: a -> b -> a"]),
    ("port_range", "services:\n  a:\n    image: payload\n    ports: ['80-81:8000-8002']\n",
     ["compose.yaml:4:", "80-81"]),
    ("port_number", "services:\n  a:\n    image: payload\n    ports: ['99999:80']\n",
     ["compose.yaml:4:", "99999"]),
    ("required_variable", "services:\n  a:\n    image: ${MUST:?needed here}\n",
     ["compose.yaml:3:", "MUST", "needed here"]),
    ("bytes", "services:\n  a:\n    image: payload\n    mem_limit: 12x\n", ["compose.yaml:4:", "12x"]),
    ("duration", "services:\n  a:\n    image: payload\n    stop_grace_period: soon\n",
     ["compose.yaml:4:", "soon"]),
    ("missing_image", "services:\n  a:\n    image: not-there:1\n", ["compose.yaml:3:", "not-there:1"]),
    ("no_image", "services:\n  a: {command: x}\n", ["compose.yaml:2:", "neither an image nor a build"]),
    ("env_file", "services:\n  a:\n    image: payload\n    env_file: nope.env\n", ["nope.env", "not found"]),
    ("duplicate_key", "services:\n  a:\n    image: payload\n    image: payload\n", ["compose.yaml:4:", "image"]),
    ("cap", "services:\n  a:\n    image: payload\n    cap_add: [NET_ADMINN]\n", ["compose.yaml:4:", "NET_ADMINN"]),
]


class Errors(WherryTest):
    def test_two_errors_are_told_at_once(self):
        self.compose("services:\n  a:\n    image: payload\n    restrat: no\n    comand: x\n")
        error = self.fails("up", "-d")
        self.assertIn("compose.yaml:4:5", error)
        self.assertIn("compose.yaml:5:5", error)

    def test_no_file(self):
        self.assertIn("no configuration file provided: not found", self.fails("up", "-d"))

    def test_named_file_missing(self):
        error = self.fails("-f", "other.yaml", "up", "-d")
        self.assertIn("other.yaml", error)
        self.assertIn("no such file", error.lower())

    def test_unknown_service(self):
        self.compose("services: {a: {image: payload}}")
        self.assertIn("no such service: x", self.fails("up", "-d", "x"))

    def test_unknown_command_and_flag(self):
        self.assertIn("fly", self.fails("fly"))
        self.assertIn("unknown flag: --wings", self.fails("up", "--wings"))

    def test_image_of_another_architecture(self):
        run(IMAGE_TOOL, "import", "--arch", "s390x", "--entrypoint", '["/payload"]',
            os.path.join(self.folder, "payload.tar"), "foreign", env=self.env)
        self.compose("services:\n  a:\n    image: foreign\n")
        error = self.fails("up", "-d")
        self.assertIn("compose.yaml:3:", error)
        self.assertIn("s390x", error)

    def test_not_root(self):
        self.compose("services: {a: {image: payload}}")
        copy = os.path.join(self.folder, "wherry-copy")
        shutil.copy(self.command()[0], copy)
        os.chmod(self.folder, 0o755)
        result = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "-f",
             os.path.join(self.dir, "compose.yaml"), "-p", self.project, "up", "-d"],
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": "/tmp"}, cwd="/",
            capture_output=True, text=True, timeout=30, check=False)
        os.chmod(self.folder, 0o700)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("root", result.stderr)


def add(name, text, parts):
    def test(self):
        self.compose(text)
        error = self.fails("up", "-d")
        for part in parts:
            self.assertIn(part, error)
    setattr(Errors, f"test_mistake_{name}", test)


for mistake in MISTAKES:
    add(*mistake)

if __name__ == "__main__":
    main()
