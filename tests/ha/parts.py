"""A broker and a Home Assistant for the test, each started and stopped at will."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
ROOT = REPOSITORY / ".lab/ha/root"
PASSWORD = "secret of the test"
ACL = """user gw
topic readwrite {app}/#
topic readwrite homeassistant/#
user homeassistant
topic read {app}/#
topic readwrite homeassistant/#
pattern write {app}/+/as/%u/#
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, holds, within_s):
    """Waits until something holds and returns what it gave, or fails with what was waited for: words, or who says them."""
    end = time.monotonic() + within_s
    while True:
        result = holds()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what() if callable(what) else what}: not within {within_s} s")
        time.sleep(0.05)


class Process:
    """A child that is ended with its group, whatever happens."""

    def __init__(self, command, log, **options):
        self.log = open(log, "ab")
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True, **options
        )

    def stop(self, how=signal.SIGTERM, within_s=60):
        if self.child.poll() is None:
            os.killpg(self.child.pid, how)
            try:
                self.child.wait(within_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
        self.log.close()


class Broker:
    """mosquitto with the accounts and the access list of docs/home-assistant.md, which forgets all when it stops."""

    def __init__(self, work, app="retrovolt"):
        self.work, self.port, self.process = work, free_port(), None
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.command = [program, "-c", str(work / "mosquitto.conf")]
        passwords = work / "passwords"
        for user in ("gw", "homeassistant", "installer", "witness"):
            flags = [] if passwords.exists() else ["-c"]
            subprocess.run(["mosquitto_passwd", "-b", *flags, passwords, user, PASSWORD], check=True)
        passwords.chmod(0o600)
        (work / "acl").write_text(ACL.format(app=app) + "user witness\ntopic read #\n")
        (work / "acl").chmod(0o600)
        (work / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\nuser root\npersistence false\n"
            f"password_file {passwords}\nacl_file {work / 'acl'}\nlog_type all\n"
        )

    def start(self):
        """Starts it and waits until it listens; when that was."""
        self.log = self.work / "mosquitto.log"
        self.begun = self.log.stat().st_size if self.log.exists() else 0
        self.process = Process(self.command, self.log)

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for("mosquitto", answers, 10)
        return time.time()

    def heard(self, topic, payload, within_s):
        """Waits until it has got this since it was started; when that was. Its log has the length of the payload only."""
        self.logged(["Received PUBLISH", f"'{topic}', ... ({len(payload)} bytes)"], within_s)
        return time.time()

    def connected(self, user, within_s):
        """Waits until this user has connected since it was started; when that was."""
        self.logged(["New client connected", f"u'{user}'"], within_s)
        return time.time()

    def logged(self, words, within_s):
        def there():
            with open(self.log, errors="replace") as log:
                log.seek(self.begun)
                return any(all(word in line for word in words) for line in log)

        wait_for(f"{words} in the log of mosquitto", there, within_s)

    def forget(self):
        """Only what comes from now on is heard."""
        self.begun = self.log.stat().st_size

    def stop(self):
        if self.process:
            self.process.stop()


class HomeAssistant:
    """A real Home Assistant whose only integration is MQTT."""

    def __init__(self, broker_port, automations=()):
        self.port, self.process = free_port(), None
        self.url = f"http://127.0.0.1:{self.port}"
        self.inner = f"/tmp/hass-{os.getpid()}"
        self.config = ROOT / self.inner.lstrip("/")
        shutil.rmtree(self.config, ignore_errors=True)
        (self.config / ".storage").mkdir(parents=True)
        shutil.copytree(HERE / "probe", self.config / "custom_components/probe")
        (self.config / "configuration.yaml").write_text(
            "homeassistant:\n  name: Test\n  time_zone: UTC\n"
            f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\n"
            "logger:\n  default: warning\n"
            "recorder:\nenergy:\nautomation: !include automations.yaml\nprobe:\n"
        )
        (self.config / "automations.yaml").write_text("\n".join(automations) or "[]\n")
        entry = {
            "entry_id": "0123456789abcdef0123456789abcdef",
            "domain": "mqtt",
            "title": "mqtt",
            "source": "user",
            "version": 1,
            "minor_version": 2,
            "unique_id": None,
            "disabled_by": None,
            "pref_disable_new_entities": False,
            "pref_disable_polling": False,
            "created_at": "2026-01-01T00:00:00+00:00",
            "modified_at": "2026-01-01T00:00:00+00:00",
            "discovery_keys": {},
            "subentries": [],
            "options": {"discovery": True},
            "data": {
                "broker": "127.0.0.1",
                "port": broker_port,
                "username": "homeassistant",
                "password": PASSWORD,
                "discovery": True,
            },
        }
        store = {"version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": [entry]}}
        (self.config / ".storage/core.config_entries").write_text(json.dumps(store))

    def start(self, wait=True):
        environment = ["/usr/bin/env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/hass/bin:/usr/bin:/bin"]
        command = ["chroot", str(ROOT), *environment, "/hass/bin/hass", "-c", self.inner, "--skip-pip"]
        self.process = Process(command, self.config / "stdout.log")
        if wait:
            self.wait()

    def wait(self):
        wait_for("Home Assistant", lambda: self.sight().get("running"), 180)

    def stop(self):
        """Ends it as `systemctl stop` does; it keeps what it knows."""
        if self.process:
            self.process.stop(signal.SIGINT)

    def remove(self):
        self.stop()
        shutil.rmtree(self.config, ignore_errors=True)

    def sight(self):
        try:
            with urllib.request.urlopen(f"{self.url}/probe/sight", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def entities(self):
        """Entities of MQTT by their unique id."""
        return {e["unique_id"]: e for e in self.sight().get("entities", [])}

    def devices(self):
        return {i: d for d in self.sight().get("devices", []) for i in d["identifiers"]}

    def do(self, **wish):
        request = urllib.request.Request(
            f"{self.url}/probe/deed", json.dumps(wish).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def call(self, service, **data):
        domain, service = service.split(".")
        return self.do(domain=domain, service=service, data=data)

    def complaints(self):
        """Warnings and errors since it was made, each with the lines that belong to it, but for the one that every
        integration of one's own gets."""
        found = []
        for name in ("home-assistant.log.1", "home-assistant.log"):
            path = self.config / name
            text = path.read_text(errors="replace") if path.exists() else ""
            found += [
                record.strip()
                for record in re.split(r"^(?=\d{4}-\d\d-\d\d )", text, flags=re.MULTILINE)
                if re.match(r"\S+ \S+ (WARNING|ERROR|CRITICAL) ", record) and "custom integration probe" not in record
            ]
        return found
