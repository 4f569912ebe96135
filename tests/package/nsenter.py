"""Ansible's way into the container of a test: by nsenter to its process 1, which CONTAINER_INIT names."""

import os
import shutil
import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: nsenter
    short_description: a container by its process 1
    description: Runs programs in the namespaces of the process that CONTAINER_INIT names.
    author: The Retrovolt authors
"""


class Connection(ConnectionBase):
    """The container."""

    transport = "nsenter"
    has_pipelining = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.init = os.environ["CONTAINER_INIT"]

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["nsenter", "--all", "--target", self.init, "/bin/sh", "-c", cmd],
            input=in_data or b"",
            capture_output=True,
            env=environment,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def _inside(self, path):
        return f"/proc/{self.init}/root{path}"

    def put_file(self, in_path, out_path):
        try:
            shutil.copyfile(in_path, self._inside(out_path))
        except OSError as error:
            raise AnsibleConnectionFailure(f"{out_path}: {error}") from error

    def fetch_file(self, in_path, out_path):
        try:
            shutil.copyfile(self._inside(in_path), out_path)
        except OSError as error:
            raise AnsibleConnectionFailure(f"{in_path}: {error}") from error

    def close(self):
        self._connected = False
