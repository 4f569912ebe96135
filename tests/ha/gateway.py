"""A real gateway, a real broker and a real Home Assistant: every entity, values, commands, an automation, restarts.

Started by tests/gateway/home_assistant.rs, which has the gateway, a charger and a vehicle. It is asked on the standard
output, one word a line behind `>`, and answers with a line on the standard input.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from judge import all_well, components
from parts import REPOSITORY, Broker, HomeAssistant, wait_for
from witness import Client

BACK_WITHIN_S = 10
POINT = "retrovolt_gw1_kill-1"
DOCS = REPOSITORY / "docs/home-assistant.md"
# Nobody presents a token here.
UNKNOWN = ("_tag",)
# What Home Assistant says when its broker goes, which is what the test makes happen.
OF_THE_BROKER = ("Disconnected from MQTT server", "Failed to connect to MQTT server", "The connection was lost")


def ask(word):
    print(f"> {word}", flush=True)
    answer = sys.stdin.readline().strip()
    assert answer == "done", f"{word}: {answer}"


def automation():
    """The example of the documentation, as it stands there."""
    text = DOCS.read_text().split("```yaml\n# automation", 1)[1].split("```", 1)[0]
    return text.split("\n", 1)[1]


class Story:
    def __init__(self, home, broker, witness):
        self.home, self.broker, self.witness = home, broker, witness

    def wanted(self):
        texts = [self.witness.text(topic) for topic in list(self.witness.last)]
        topics = [t for t in self.witness.last if t.startswith("homeassistant/device/")]
        assert texts
        messages = [json.loads(self.witness.text(t)) for t in topics if self.witness.text(t)]
        return components(messages, enabled_only=True)

    def state(self, key):
        entity = self.home.entities().get(f"{POINT}_{key}", {})
        return entity.get("state")

    def entity_id(self, key):
        return self.home.entities()[f"{POINT}_{key}"]["entity_id"]

    def until(self, what, key, holds, within_s=20):
        def look():
            state = self.state(key)
            return state not in (None, "unknown", "unavailable") and holds(state)

        return wait_for(f"{what} (now {self.state(key)})", look, within_s)

    def charge(self):
        wait_for("discovery", lambda: f"{POINT}_status" in self.wanted(), 20)
        self.until("status", "status", lambda s: s == "available")
        ask("plug")
        self.until("charging", "status", lambda s: s == "charging")
        self.until("power", "power", lambda s: float(s) > 1000)
        self.until("current", "current_l1", lambda s: float(s) > 5)
        self.until("cable", "cable", lambda s: s == "on")
        self.until("CSMS", "csms", lambda s: s == "on")
        self.until("session", "session_start", lambda s: s.startswith("20"))
        self.until("session energy", "session_energy", lambda s: float(s) > 0)
        print("PASS a session with power, current and energy", flush=True)

    def everything(self, within_s=15):
        wanted = self.wanted()
        kinds = {fields["platform"] for fields in wanted.values()}
        assert {"sensor", "binary_sensor", "switch", "number", "update", "event"} <= kinds, kinds
        return all_well(self.home, wanted, within_s, UNKNOWN)

    def command(self):
        number, switch = self.entity_id("limit_set"), self.entity_id("enabled")
        self.home.call("number.set_value", entity_id=number, value=10)
        self.until("limit", "limit", lambda s: float(s) == 10)
        self.until("number", "limit_set", lambda s: float(s) == 10)
        self.home.call("switch.turn_off", entity_id=switch)
        self.until("held back", "enabled", lambda s: s == "off")
        self.until("no power", "power", lambda s: float(s) == 0)
        print("PASS number and switch; the charger obeys", flush=True)

    def button(self):
        """What closes a contactor may be told once a minute; a gateway that has just started remembers none."""
        self.home.call("switch.turn_on", entity_id=self.entity_id("enabled"))
        self.until("allowed", "enabled", lambda s: s == "on")
        key = f"{POINT}_unlock" if f"{POINT}_unlock" in self.wanted() else None
        if key is None:
            print("PASS switch on; this charger cannot release its plug, so there is no button", flush=True)
            return
        topic = "retrovolt/gw1/response/homeassistant/unlock"
        self.home.call("button.press", entity_id=self.entity_id("unlock"))
        wait_for("the answer", lambda: self.witness.text(topic), 20)
        print("PASS switch on; button:", self.witness.text(topic), flush=True)

    def automated(self):
        ask("unplug")
        self.until("unplugged", "cable", lambda s: s == "off")
        ask("plug")
        self.until("limit of the automation", "limit", lambda s: float(s) == 8)
        print("PASS the automation of the documentation", flush=True)

    def energy(self):
        issues = self.home.do(energy=self.entity_id("energy"))["device_consumption"]
        # Statistics are made every five minutes; that they are not there yet is no fault of the sensor.
        wrong = [i for each in issues for i in each if i["type"] not in ("statistics_not_defined",)]
        assert not wrong, wrong
        print("PASS the Energy dashboard takes the register", flush=True)

    def measure(self, what, since):
        count = self.everything(within_s=30)
        took = time.time() - since
        assert took <= BACK_WITHIN_S, f"{what}: {took:.1f} s"
        print(f"PASS {what}: {count} entities back after {took:.1f} s", flush=True)

    def all_lost(self):
        wait_for("offline", lambda: self.state("power") in (None, "unavailable"), 60)

    def restart(self):
        ask("stop")
        self.all_lost()
        since = time.time()
        ask("start")
        self.measure("gateway restarted", since)
        self.button()

        self.broker.stop()
        self.all_lost()
        self.broker.start()
        # Home Assistant looks every ten seconds whether its broker is back.
        birth = self.birth()
        self.measure("broker restarted, with nothing kept, since Home Assistant is back there", birth)

        self.home.stop()
        self.home.start()
        self.measure("Home Assistant restarted, since its birth message", self.birth())

    def birth(self):
        """When Home Assistant last said that it is there."""
        before = time.time() - 5

        def born():
            said = self.witness.last.get("homeassistant/status")
            return said and said[0] == "online" and said[1] > before and said[1]

        return wait_for("birth of Home Assistant", born, 90)


def main():
    with tempfile.TemporaryDirectory() as work:
        broker = Broker(Path(work))
        home = HomeAssistant(broker.port, [automation()])
        witness = None
        try:
            broker.start()
            witness = Client(broker.port, "witness", ["retrovolt/#", "homeassistant/#"])
            home.start()
            ask(f"broker {broker.port}")
            story = Story(home, broker, witness)
            story.charge()
            print("PASS", story.everything(), "entities with the right unit, class, category and a value", flush=True)
            story.energy()
            story.command()
            complaints = home.complaints()
            story.restart()
            story.automated()
            complaints += home.complaints()
            wrong = [
                line
                for line in complaints
                if "[homeassistant.components.mqtt" in line and not any(words in line for words in OF_THE_BROKER)
            ]
            assert not wrong, "\n".join(wrong)
            print("PASS no warning and no error of homeassistant.components.mqtt", flush=True)
        except BaseException:
            print("\n".join(home.complaints()[-20:]), file=sys.stderr)
            raise
        finally:
            if witness:
                witness.end()
            home.remove()
            broker.stop()


if __name__ == "__main__":
    main()
