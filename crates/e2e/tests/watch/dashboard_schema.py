"""Holds dashboards to Grafana's own schema, as the package grafana-foundation-sdk has it.

    dashboard_schema.py FOLDER DASHBOARD.json ...

FOLDER is where the package is unpacked.

The package reads any JSON: it drops what it does not know, and takes what it is given. So, of each
dashboard: nothing may have been dropped or changed when it is written again, and each value must be
of the type that the package declares for it. Exits with 1 and one line for each offence.
"""

import enum
import inspect
import json
import sys
import typing

# The package is for Python 3.11; this is all that 3.10 lacks.
if not hasattr(typing, "Self"):
    typing.Self = typing.Any
if not hasattr(enum, "StrEnum"):
    enum.StrEnum = enum.Enum("StrEnum", [], type=str)

sys.path.insert(0, sys.argv[1])

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog import runtime
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.models.prometheus import Dataquery

# What Grafana's plugin for Prometheus puts into an annotation beside its query; the schema leaves such
# fields to the plugins.
PLUGIN_FIELDS = {"titleFormat": str, "textFormat": str, "tagKeys": str, "useValueForTime": bool}


def wrong_type(value, hint):
    """Whether a value is not of a declared type; values within are looked at by themselves."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any):
        return False
    if origin is typing.Union:
        return all(wrong_type(value, one) for one in arguments)
    if origin is typing.Literal:
        return value not in arguments
    if origin is list:
        return not isinstance(value, list) or any(wrong_type(it, arguments[0]) for it in value)
    if origin is dict:
        return not isinstance(value, dict) or any(
            wrong_type(it, arguments[1]) for it in value.values()
        )
    if hint is type(None):
        return value is not None
    if hint is float:
        return isinstance(value, bool) or not isinstance(value, (int, float))
    if hint is int:
        return isinstance(value, bool) or not isinstance(value, int)
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return value not in [member.value for member in hint]
    return inspect.isclass(hint) and not isinstance(value, hint)


def type_offences(value, place):
    """Attributes, at any depth, that are not of their declared types."""
    if isinstance(value, list):
        for index, it in enumerate(value):
            yield from type_offences(it, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, it in value.items():
            yield from type_offences(it, f"{place}.{key}")
    elif type(value).__module__.startswith("grafana_foundation_sdk.models"):
        if isinstance(value, enum.Enum):
            return
        for name, hint in typing.get_type_hints(type(value)).items():
            attribute = getattr(value, name)
            if wrong_type(attribute, hint):
                yield f"{place}.{name} is {attribute!r}, not {hint}"
            yield from type_offences(attribute, f"{place}.{name}")


def lost(before, after, place):
    """What is not there any more, or not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{place}.{key}")
            elif value is not None:
                yield f"{place}.{key} is not in the schema"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}[{index}]")
    elif before != after:
        yield f"{place} is {before!r}, which the schema reads as {after!r}"


def read_and_compared(model, before, place):
    """What the schema drops, changes or declares otherwise in a part of a dashboard."""
    read = model.from_json(json.loads(json.dumps(before)))
    after = json.loads(JSONEncoder().encode(read))
    yield from lost(before, after, place)
    yield from type_offences(read, place)


def plugin_offences(annotation, place):
    """What an annotation has for the plugin for Prometheus; it is taken out."""
    if annotation.get("datasource", {}).get("type") != "prometheus":
        return
    yield from read_and_compared(Dataquery, annotation.pop("target"), f"{place}.target")
    for field, kind in PLUGIN_FIELDS.items():
        if not isinstance(annotation.pop(field, kind()), kind):
            yield f"{place}.{field} is no {kind.__name__}"


def offences(text):
    before = json.loads(text)
    for index, annotation in enumerate(before["annotations"]["list"]):
        yield from plugin_offences(annotation, f"dashboard.annotations.list[{index}]")
    yield from read_and_compared(Dashboard, before, "dashboard")
    for panel in before.get("panels", []):
        kind = panel.get("type")
        if kind != "row" and runtime.panelcfg_config(kind) is None:
            yield f"panel {panel.get('title')!r} is of the type {kind!r}, which there is not"


def main():
    plugins.register_default_plugins()
    bad = False
    for file in sys.argv[2:]:
        with open(file, encoding="utf-8") as dashboard:
            text = dashboard.read()
        try:
            found = list(offences(text))
        except Exception as error:  # What the package cannot read at all.
            found = [f"cannot be read: {error!r}"]
        for offence in found:
            bad = True
            print(f"{file}: {offence}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
