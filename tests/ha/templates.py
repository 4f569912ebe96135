"""Renders templates of entities and judges the results as Home Assistant's MQTT integration does.

Reads a list of {"key", "fields", "state_topic", "json_attributes_topic"} (the last two: payloads), prints what is wrong and
ends with 1, or prints how many entities are well.
"""

import json
import sys
from datetime import datetime
from functools import cache

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
LONGEST_STATE = 255


@cache
def compiled(template):
    return ENVIRONMENT.from_string(template)


def render(template, payload):
    return compiled(template).render(value=json.dumps(payload), value_json=payload)


def is_time(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.tzinfo is not None


def judge_state(fields, text):
    kind, device_class = fields["platform"], fields.get("device_class")
    if kind in ("binary_sensor", "switch"):
        allowed = ["ON", "OFF", "None"]
        assert text in allowed, f"{text!r} is not one of {allowed}"
    elif text == "None":
        assert kind in ("sensor", "number", "select"), "None means something only to sensors, numbers and selects"
    elif kind == "update":
        versions = json.loads(text)
        assert versions["installed_version"] and versions["latest_version"]
    elif "options" in fields:
        assert text in fields["options"], f"{text!r} is no option"
    elif device_class == "timestamp":
        assert is_time(text), f"{text!r} has no zone"
    elif kind == "number":
        assert fields["min"] <= float(text) <= fields["max"], f"{text} is out of range"
    elif "unit_of_measurement" in fields or "state_class" in fields:
        float(text)
    else:
        assert 0 < len(text) <= LONGEST_STATE, f"{len(text)} characters"
        assert text not in ("True", "False"), "a boolean as text"


def judge(case):
    fields = case["fields"]
    if "value_template" in fields:
        judge_state(fields, render(fields["value_template"], case["state_topic"]))
    elif fields["platform"] == "event":
        assert case["state_topic"]["event_type"] in fields["event_types"]
    if "last_reset_value_template" in fields:
        reset = render(fields["last_reset_value_template"], case["state_topic"])
        assert reset == "" or is_time(reset), f"last reset {reset!r}"
    if "json_attributes_topic" in fields:
        attributes = json.loads(render(fields["json_attributes_template"], case["json_attributes_topic"]))
        assert isinstance(attributes, dict), "attributes are a map"


def main():
    cases = json.load(sys.stdin)
    wrong = 0
    for case in cases:
        try:
            judge(case)
        except Exception as problem:  # whatever it is, it is wrong with this entity
            wrong += 1
            print(f"{case['fields']['unique_id']}: {type(problem).__name__}: {problem}")
    if wrong:
        sys.exit(1)
    print(f"{len(cases)} entities")


if __name__ == "__main__":
    main()
