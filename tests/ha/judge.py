"""What a discovery message says against what Home Assistant made of it."""

from parts import wait_for

# Home Assistant knows no state of something that can only be pressed.
PRESSED = ("button",)


def components(messages, enabled_only):
    """Unique id -> what its message says, for every entity (that is used)."""
    found = {}
    for message in messages:
        for fields in message.get("components", {}).values():
            if not (enabled_only and fields.get("enabled_by_default") is False):
                found[fields["unique_id"]] = fields
    return found


def faults(entity, fields, may_be_unknown=()):
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


def all_well(home, wanted, within_s=15, may_be_unknown=()):
    """Waits until every wanted entity is as it should be, and returns how many there are."""
    wrong = []

    def holds():
        there = home.entities()
        wrong[:] = [f"{key} missing" for key in wanted.keys() - there.keys()]
        for key in wanted.keys() & there.keys():
            wrong.extend(f"{key}: {what}" for what in faults(there[key], wanted[key], may_be_unknown))
        return not wrong

    try:
        wait_for("entities", holds, within_s)
    except AssertionError as late:
        raise AssertionError("\n".join([str(late), *wrong])) from None
    return len(wanted)
