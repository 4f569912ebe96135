"""A real gateway, a real broker and a real Home Assistant: every entity, values, commands, an automation, restarts.

Started by tests/gateway/home_assistant.rs, which has the gateway, its chargers and vehicles. It is asked on the standard
output, one wish a line behind `>`, and answers with a line on the standard input.
"""

import sys
import tempfile
import time
from pathlib import Path

import commands
import forms
import restarts
from judge import all_well, announced
from parts import REPOSITORY, Broker, HomeAssistant, wait_for
from witness import Client

HUB = "retrovolt_gw1"
POINT = f"{HUB}_kill-1"
OTHER = f"{HUB}_kill-2"
METER = f"{HUB}_meter_meter"
DOCS = REPOSITORY / "docs/home-assistant.md"
KINDS = {"sensor", "binary_sensor", "switch", "number", "select", "button", "event", "update"}
# How the test runs it: without loading packages, and without two that are faster.
ITS_OWN = ("Skipping pip installation of required modules", "zlib_ng and isal are not available")
# There is nothing to show: without a card at this charge point there was no tag, and without a vehicle at the other there
# is no session. That it has charged nothing and what its vehicle holds it says itself.
UNKNOWN = ("_kill-1_tag", "_kill-2_session_energy", "_kill-2_session_start")


def ask(wish):
    print(f"> {wish}", flush=True)
    answer = sys.stdin.readline().strip().split(" ", 1)
    assert answer[0] == "done", f"{wish}: {answer}"
    return answer[-1]


def told(text):
    print("PASS", text, flush=True)


def automation():
    """The example of the documentation, as it stands there."""
    text = DOCS.read_text().split("```yaml\n# automation", 1)[1].split("```", 1)[0]
    return text.split("\n", 1)[1]


class Story:
    def __init__(self, home, broker, witness):
        self.home, self.broker, self.witness = home, broker, witness
        self.ask, self.told, self.log = ask, told, None
        self.point, self.other = POINT, OTHER

    def wanted(self):
        """What is announced at present."""
        return announced(self.witness.texts())

    def state(self, key, of=POINT):
        return self.home.entities().get(f"{of}_{key}", {}).get("state")

    def entity_id(self, key, of=POINT):
        return self.home.entities()[f"{of}_{key}"]["entity_id"]

    def until(self, what, key, holds, within_s=20, of=POINT):
        def look():
            state = self.state(key, of)
            return state not in (None, "unknown", "unavailable") and holds(state)

        return wait_for(lambda: f"{what} (now {self.state(key, of)})", look, within_s)

    def everything(self, within_s=15, last=None):
        return all_well(self.home, self.wanted(), within_s, UNKNOWN, self.witness.texts, last)

    def appear(self):
        """All devices; entities that are off until a user wants them are wanted."""
        devices = {HUB, POINT, OTHER, METER}
        wait_for("devices", lambda: devices <= self.home.devices().keys(), 30)
        wait_for("entities", lambda: self.wanted().keys() <= self.home.entities().keys(), 20)
        kinds = {fields["platform"] for fields in self.wanted().values()}
        assert kinds == KINDS, kinds
        hidden = set()

        def on():
            entities = self.home.entities().values()
            for entity in entities:
                if entity["disabled"] and entity["entity_id"] not in hidden:
                    hidden.add(entity["entity_id"])
                    self.broker.forget()
                    self.home.do(enable=entity["entity_id"])
            return all(entity["state"] for entity in entities)

        off = lambda: sorted(e["entity_id"] for e in self.home.entities().values() if not e["state"])
        wait_for(lambda: f"what was enabled, without {off()}", on, 90)
        assert hidden
        # Home Assistant reads the integration anew half a minute after somebody has enabled an entity.
        self.broker.heard("homeassistant/status", "online", 60)
        told(f"{len(devices)} devices, {len(self.wanted())} entities; {len(hidden)} of them had to be enabled")

    def charge(self):
        self.until("status", "status", lambda s: s == "available")
        ask("plug box")
        self.until("charging", "status", lambda s: s == "charging")
        self.until("power", "power", lambda s: float(s) > 1000)
        self.until("current", "current_l1", lambda s: float(s) > 5)
        self.until("cable", "cable", lambda s: s == "on")
        self.until("CSMS", "csms", lambda s: s == "on")
        self.until("session", "session_start", lambda s: s.startswith("20"))
        self.until("session energy", "session_energy", lambda s: float(s) > 0)
        self.until("meter", "power", lambda s: float(s) > 1000, of=METER)
        told("a session with power, current and energy, also at its meter")

    def automated(self):
        ask("unplug box")
        self.until("unplugged", "cable", lambda s: s == "off")
        ask("plug box")
        self.until("limit of the automation", "limit", lambda s: float(s) == 8)
        told("the automation of the documentation")

    def energy(self):
        issues = self.home.do(energy=self.entity_id("energy"))["device_consumption"]
        # Statistics are made every five minutes; that they are not there yet is no fault of the sensor.
        wrong = [i for each in issues for i in each if i["type"] not in ("statistics_not_defined",)]
        assert not wrong, wrong
        told("the Energy dashboard takes the register")

    def tell(self):
        self.log = Path(ask(f"broker {self.broker.port}"))
        self.appear()
        self.charge()
        commands.tag(self)
        told(f"{self.everything(20)} entities with the right unit, class, state class and category, and with what was published")
        self.energy()
        commands.accepted(self)
        commands.rejected(self)
        restarts.tell(self)
        commands.pressed(self)
        self.automated()
        forms.tell(self)


def judge(lines):
    """Fails with what Home Assistant has complained about, but for what the test has made happen."""
    wrong = [line for line in lines if not any(words in line for words in ITS_OWN + restarts.BROKER_GONE + forms.CHANGED)]
    assert not wrong, "\n".join(wrong)
    told("no warning and no error in Home Assistant's log but the listed ones")


def main():
    with tempfile.TemporaryDirectory() as work:
        broker = Broker(Path(work))
        home = HomeAssistant(broker.port, [automation()])
        witness = None
        began = time.monotonic()
        try:
            broker.start()
            witness = Client(broker.port, "witness", ["retrovolt/#", "homeassistant/#"])
            home.start()
            broker.heard("homeassistant/status", "online", 60)
            Story(home, broker, witness).tell()
            judge(home.complaints())
            print(f"{time.monotonic() - began:.0f} s", flush=True)
        except BaseException:
            print("\n".join(home.complaints()[-20:]), file=sys.stderr)
            events = [f"{t} {p}" for t, p in (witness.texts() if witness else {}).items() if "/event/" in t or "/response/" in t]
            print("\n".join(events), file=sys.stderr)
            raise
        finally:
            if witness:
                witness.end()
            home.remove()
            broker.stop()


if __name__ == "__main__":
    main()
