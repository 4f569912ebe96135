"""Shows a real Home Assistant the discovery messages of a site with everything, and asks what it made of them.

Needs .lab/ha (setup.sh) and .lab/ha/script.json, which a test of the gateway writes from its own functions.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from judge import PRESSED, all_well, components
from parts import REPOSITORY, Broker, HomeAssistant, wait_for
from witness import Client

SCRIPT = json.loads((REPOSITORY / ".lab/ha/script.json").read_text())
PAUSE_S = 2
# Of this charge point little is known.
YARD = ("_yard_tag", "_yard_session_energy", "_yard_phases", "_yard_limit")
# Home Assistant deletes the topic of a device that went once more, hears itself and finds nothing left to clean up.
ITS_OWN_ECHO = "No device components to cleanup"


def expected():
    return components(SCRIPT["discovery"].values(), enabled_only=False)


def everything_enabled(message):
    message = json.loads(json.dumps(message))
    for fields in message["components"].values():
        fields.pop("enabled_by_default", None)
    return message


def say_values(client, values):
    for topic, payload in values.items():
        client.publish(topic, payload, retain="/event/" not in topic)


def heard_tag(home, client):
    """Presents a tag until Home Assistant, which subscribes when it finds time, has heard of it."""
    events = {t: p for t, p in SCRIPT["values"].items() if "/event/" in t}
    say_values(client, events)
    return home.entities()["retrovolt_gw1_garage_tag"]["state"] not in ("unknown", "unavailable")


def follow(client, phases):
    """As the gateway does it: Home Assistant gets time to take in one phase before the next."""
    for number, phase in enumerate(phases):
        if number:
            time.sleep(PAUSE_S)
        for topic, payload in phase:
            client.publish(topic, payload)


def story(home, client):
    for topic, message in SCRIPT["discovery"].items():
        client.publish(topic, everything_enabled(message))
    wait_for("entities", lambda: expected().keys() <= home.entities().keys(), 20)
    say_values(client, SCRIPT["values"])
    wait_for("its events", lambda: heard_tag(home, client), 20)
    print("PASS", all_well(home, expected(), may_be_unknown=YARD), "entities with the right unit, class, category and a value")

    hub = home.devices()["retrovolt_gw1"]
    for name, device in home.devices().items():
        if name.startswith("retrovolt_gw1_"):
            assert device["via"] == hub["id"], device
            assert device["url"] == "http://192.168.1.5:8080/", device
    garage = home.entities()["retrovolt_gw1_garage_power"]
    assert float(garage["state"]) == 7205.5, garage
    reset = home.entities()["retrovolt_gw1_garage_session_energy"]["attributes"]
    assert reset["last_reset"].startswith("2026-03-01T09:30"), reset
    assert reset["reason"] == "ev_disconnected", reset

    say_values(client, SCRIPT["nulls"])
    wait_for("unavailable", lambda: home.entities()["retrovolt_gw1_garage_power"]["state"] == "unavailable", 5)
    client.publish("retrovolt/gw1/cp/garage/availability", "online")
    wait_for("unknown", lambda: home.entities()["retrovolt_gw1_garage_power"]["state"] == "unknown", 5)
    say_values(client, SCRIPT["values"])
    print("PASS", all_well(home, expected(), may_be_unknown=YARD), "entities after a time without any value")

    home.do(rename=home.entities()["retrovolt_gw1_garage_power"]["entity_id"], name="My own name")
    for step in ("to_entities", "to_devices"):
        follow(client, SCRIPT[step])
        say_values(client, SCRIPT["values"])
        wait_for("my own name", lambda: home.entities()["retrovolt_gw1_garage_power"]["name"] == "My own name", 10)
        print("PASS", step, all_kept(home), "entities, a name given by the user is kept")

    follow(client, SCRIPT["to_powerless"])
    gone = "retrovolt_gw1_garage_unlock"
    wait_for("controls gone", lambda: gone not in home.entities(), 10)
    kinds = {e["entity_id"].split(".")[0] for e in home.entities().values()}
    assert not kinds & {"switch", "number", "select", "button"}, kinds
    follow(client, SCRIPT["to_without_yard"])
    wait_for("yard gone", lambda: "retrovolt_gw1_yard" not in home.devices(), 10)
    follow(client, SCRIPT["to_off"])
    wait_for("all gone", lambda: not home.entities(), 10)
    print("PASS controls, a device, everything taken back: nothing left over")


def all_kept(home):
    """Every entity is there; those a user had to enable stay enabled or not, as Home Assistant keeps it."""
    wanted = expected()

    def holds():
        there = home.entities()
        used = {k: e for k, e in there.items() if not e["disabled"]}
        return there.keys() == wanted.keys() and all(
            e["state"] != "unavailable" for k, e in used.items() if wanted[k]["platform"] not in PRESSED
        )

    wait_for("all entities", holds, 15)
    return len(wanted)


def of_interest(line):
    return "[homeassistant.components.mqtt" in line or " ERROR " in line


def main():
    with tempfile.TemporaryDirectory() as work:
        broker = Broker(Path(work))
        home = HomeAssistant(broker.port)
        client = None
        try:
            broker.start()
            home.start()
            client = Client(broker.port, "gw")
            story(home, client)
            complaints = [line for line in home.complaints() if ITS_OWN_ECHO not in line and of_interest(line)]
            assert not complaints, "\n".join(complaints)
            print("PASS no warning and no error of homeassistant.components.mqtt")
        except BaseException:
            print("\n".join(home.complaints()[-20:]), file=sys.stderr)
            raise
        finally:
            if client:
                client.end()
            home.remove()
            broker.stop()


if __name__ == "__main__":
    main()
