"""Shows a real Home Assistant the discovery messages of a site with everything, and asks what it made of them.

Needs .lab/ha (setup.sh) and .lab/ha/script.json, which a test of the gateway writes from its own functions.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from parts import REPOSITORY, Broker, HomeAssistant, wait_for
from witness import Client

SCRIPT = json.loads((REPOSITORY / ".lab/ha/script.json").read_text())
PAUSE_S = 2
# Home Assistant knows no state of something that can only be pressed.
PRESSED = ("button",)


def expected(enabled_only):
    """Unique id -> what its message says, for every entity that is used."""
    found = {}
    for message in SCRIPT["discovery"].values():
        for fields in message["components"].values():
            if not (enabled_only and fields.get("enabled_by_default") is False):
                found[fields["unique_id"]] = fields
    return found


def everything_enabled(message):
    message = json.loads(json.dumps(message))
    for fields in message["components"].values():
        fields.pop("enabled_by_default", None)
    return message


def say_values(client, values):
    for topic, payload in values.items():
        client.publish(topic, payload, retain="/event/" not in topic)


def check(entity, fields):
    """What is wrong with an entity, in words."""
    said = entity["attributes"]
    pairs = [
        ("unit_of_measurement", fields.get("unit_of_measurement")),
        ("device_class", fields.get("device_class")),
        ("state_class", fields.get("state_class")),
    ]
    wrong = [f"{key} is {said.get(key)}, not {value}" for key, value in pairs if value and said.get(key) != value]
    if fields.get("entity_category") != entity["category"]:
        wrong.append(f"category {entity['category']}")
    if fields["platform"] not in PRESSED and entity["state"] in (None, "unknown", "unavailable"):
        wrong.append(f"state {entity['state']}")
    return wrong


def all_well(home, wanted):
    def holds():
        there = home.entities()
        nonlocal wrong
        wrong = [f"{key} missing" for key in wanted.keys() - there.keys()]
        wrong += [f"{key} left over" for key in there.keys() - wanted.keys()]
        for key in wanted.keys() & there.keys():
            wrong += [f"{key}: {what}" for what in check(there[key], wanted[key])]
        wrong = [w for w in wrong if not known_silence(w)]
        return not wrong

    wrong = []
    try:
        wait_for("entities", holds, 15)
    except AssertionError as late:
        raise AssertionError("\n".join([str(late), *wrong])) from None
    return len(wanted)


def known_silence(wrong):
    """The yard is the charge point of which little is known, and with a tag that came before its entity was there."""
    return "_yard_" in wrong and wrong.endswith("state unknown")


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
    wait_for("entities", lambda: expected(False).keys() <= home.entities().keys(), 20)
    say_values(client, SCRIPT["values"])
    wait_for("its events", lambda: heard_tag(home, client), 20)
    print("PASS", all_well(home, expected(False)), "entities with the right unit, class, category and a value")

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
    print("PASS", all_well(home, expected(False)), "entities after a time without any value")

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
    wanted = expected(False)

    def holds():
        there = home.entities()
        used = {k: e for k, e in there.items() if not e["disabled"]}
        return there.keys() == wanted.keys() and all(
            e["state"] != "unavailable" for k, e in used.items() if wanted[k]["platform"] not in PRESSED
        )

    wait_for("all entities", holds, 15)
    return len(wanted)


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
            complaints = [line for line in home.complaints() if "mqtt" in line.lower() or " ERROR " in line]
            assert not complaints, "\n".join(complaints)
            print("PASS no warning and no error of homeassistant.components.mqtt")
        except BaseException:
            print("\n".join(home.complaints()[-20:]), file=sys.stderr)
            raise
        finally:
            if client:
                client.end()
            home.stop()
            broker.stop()


if __name__ == "__main__":
    main()
