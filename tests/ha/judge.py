"""What a discovery message says against what Home Assistant made of it."""

import json
from datetime import datetime

from parts import wait_for
from templates import render

# Home Assistant knows no state of something that can only be pressed.
PRESSED = ("button",)
# What an entity says of itself, as Home Assistant shows it.
SHOWN = ("unit_of_measurement", "device_class", "state_class", "options", "event_types", "min", "max", "step")


def components(messages, enabled_only):
    """Unique id -> what its message says, for every entity (that is used)."""
    found = {}
    for message in messages:
        for fields in message.get("components", {}).values():
            if not (enabled_only and fields.get("enabled_by_default") is False):
                found[fields["unique_id"]] = fields
    return found


def announced(texts, prefix="homeassistant"):
    """Unique id -> what is announced of it, in both forms of messages; `texts`: what is kept, by topic."""
    found = {}
    for topic, text in texts.items():
        levels = topic.split("/")
        if levels[0] != prefix or levels[-1] != "config" or not text:
            continue
        message = json.loads(text)
        if levels[1] == "device":
            found.update(components([message], enabled_only=False))
        elif "unique_id" in message:  # else it is on its way to the other form
            found[message["unique_id"]] = message | {"platform": levels[1]}
    return found


def faults(entity, fields, may_be_unknown=()):
    """What is wrong with an entity, in words."""
    said = entity["attributes"]
    pairs = [(key, fields.get(key)) for key in SHOWN]
    wrong = [f"{key} is {said.get(key)}, not {value}" for key, value in pairs if value and said.get(key) != value]
    if entity["entity_id"].split(".")[0] != fields["platform"]:
        wrong.append(f"{entity['entity_id']} is no {fields['platform']}")
    if fields.get("entity_category") != entity["category"]:
        wrong.append(f"category {entity['category']}")
    silent = [None, "unavailable"] if any(fields["unique_id"].endswith(e) for e in may_be_unknown) else [
        None,
        "unavailable",
        "unknown",
    ]
    if fields["platform"] not in PRESSED and entity["state"] in silent:
        wrong.append(f"state {entity['state']}")
    if fields["platform"] in PRESSED and entity["state"] == "unavailable":
        wrong.append("unavailable")
    return wrong


def same(shown, meant):
    """Whether Home Assistant shows what the message means: a number, a time or a text."""
    if shown == meant or (meant == "None" and shown == "unknown"):
        return True
    try:
        return float(shown) == float(meant)
    except ValueError:
        pass
    try:
        moments = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (shown, meant)]
        return moments[0] == moments[1].replace(microsecond=0)
    except ValueError:
        return False


def untruth(entity, fields, texts):
    """What Home Assistant shows otherwise than the last message says; `None`: nothing."""
    topic = fields.get("state_topic")
    if "value_template" not in fields:
        return None
    if not texts.get(topic):
        return f"nothing is published on {topic}"
    meant = render(fields["value_template"], json.loads(texts[topic]))
    kind, shown = fields["platform"], entity["state"]
    if kind in ("binary_sensor", "switch"):
        meant = meant if meant == "None" else meant.lower()
    elif kind == "update":
        meant, shown = json.loads(meant)["installed_version"], entity["attributes"].get("installed_version")
    if not same(shown, meant):
        return f"shows {shown} for {meant}"
    if "json_attributes_topic" in fields:
        said = json.loads(render(fields["json_attributes_template"], json.loads(texts[fields["json_attributes_topic"]])))
        other = {key: value for key, value in said.items() if entity["attributes"].get(key) != value}
        if other:
            return f"attributes {other}"
    return None


def all_well(home, wanted, within_s=15, may_be_unknown=(), texts=None, last=None):
    """Waits until every wanted entity is as it should be, and returns how many there are. With `texts`, which gives the
    last messages by topic, each must also have shown what was published: once, since values go on changing meanwhile.
    `last` gets what was waited for at last."""
    untrue, wrong = {key: "" for key in wanted if texts}, []

    def holds():
        there, said = home.entities(), texts() if texts else {}
        wrong[:] = [f"{key} missing" for key in wanted.keys() - there.keys()]
        for key in wanted.keys() & there.keys():
            found = faults(there[key], wanted[key], may_be_unknown)
            wrong.extend(f"{key}: {what}" for what in found)
            if key in untrue and not found:
                untrue[key] = untruth(there[key], wanted[key], said)
                if untrue[key] is None:
                    del untrue[key]
        if last is not None and (wrong or untrue):
            last[:] = [*wrong, *(f"{key}: {what}" for key, what in untrue.items() if what)]
        return not wrong and not untrue

    try:
        wait_for("entities", holds, within_s)
    except AssertionError as late:
        lies = [f"{key}: {what}" for key, what in untrue.items() if what]
        raise AssertionError("\n".join([str(late), *wrong, *lies])) from None
    return len(wanted)
