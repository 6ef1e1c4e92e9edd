"""A parsed snippet and the prose's places in, the places from which each function runs out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kb.engine import Facts, Knowledge
from kb.snippet.checks import Checks
from kb.snippet.parse import SAL_CLASS, SAL_LEVEL, root_variable, strip
from kb.snippet.tree import Assign, Call, Do, Event, Function, If, Loop, Statement, Switch, Try, Unit
from kb.terms import LEVELS, rank, text_of

SIDE_FACTS = ("execution.level", "interrupt.passive", "power.pagable", "io.paging", "caller", "operation.synchronized", "driver.model", "windows")
PLACE_FACTS = ("routine", "irql.lowest", "irql.highest", "lock")
MAJOR = re.compile(r"MajorFunction\s*\[\s*(\w+)\s*\]")


def events_of(statements: Sequence[Statement]) -> Iterator[Event]:
    """Every event of some statements, in order of the text."""
    for one in statements:
        if isinstance(one, Do):
            yield from one.events
        elif isinstance(one, If):
            yield from one.events
            yield from events_of(one.then)
            yield from events_of(one.otherwise)
        elif isinstance(one, Loop):
            yield from one.events
            yield from events_of(one.body)
        elif isinstance(one, Switch):
            yield from one.events
            for case in one.cases:
                yield from events_of(case)
        elif isinstance(one, Try):
            yield from events_of(one.body)
            yield from events_of(one.handler)
            yield from events_of(one.final)


def bare_type(text: str) -> str:
    """A parameter's type for comparison: no const, no struct, no blanks; `DEVICE_OBJECT*` is `PDEVICE_OBJECT`."""
    name = re.sub(r"\b(const|struct|volatile|static|inline|extern|CONST)\b", "", text).replace(" ", "")
    name = name.lstrip("_") if name.startswith("_") and name[1:2].isupper() else name
    if name.endswith("*") and not name.endswith("**"):
        name = "P" + name[:-1]
    return {"Pvoid": "PVOID", "void": "VOID", "SIZE_T": "size_t"}.get(name, name)


class Roles:
    """Finds out which documented routine each function is."""

    def __init__(self, unit: Unit, prose: Sequence[Mapping[str, Any]], knowledge: Knowledge, checks: Checks) -> None:
        """Read registrations once."""
        self.unit, self.knowledge, self.checks = unit, knowledge, checks
        self.words: dict[str, str] = {}
        self.registered: dict[str, list[str]] = {}
        self.side: dict[str, Any] = {}
        for use in prose:
            for name in SIDE_FACTS:
                if name in use:
                    self.side.setdefault(name, use[name])
        if "WdfExecutionLevelPassive" in unit.text:
            self.side.setdefault("execution.level", "passive")
        if re.search(r"return\s+FLT_PREOP_SYNCHRONIZE\b", unit.text):
            self.side.setdefault("operation.synchronized", "true")
        if re.search(r"PassiveHandling\s*=\s*(?:TRUE|WdfTrue)\b", unit.text):
            self.side.setdefault("interrupt.passive", "true")
        self.prose = [{name: use[name] for name in PLACE_FACTS if name in use} for use in prose]
        self.prose = [place for number, place in enumerate(self.prose) if place and place not in self.prose[:number]]
        self.names = {function.name for function in unit.functions}
        for function in unit.functions:
            for event in events_of(function.body):
                self.registration(event)
        for name, declared in unit.declared.items():
            for type_name, written in declared:
                role = checks.roles.get(type_name) or checks.roles.get("P" + type_name) or self.callback(type_name)
                major = SAL_CLASS.search(written)
                if role:
                    self.registered.setdefault(name, []).append(role)
                    self.words.setdefault(name, f"`{type_name} {name};`")
                if major and major.group(2) in checks.data["majors"]:
                    self.registered[name] = [checks.data["majors"][major.group(2)]]
        for found in re.finditer(r"\{\s*(IRP_MJ_\w+)\s*,[^,{}]*,\s*(\w+)\s*,\s*(\w+)", unit.text):
            for group, kind in ((2, "pre"), (3, "post")):
                row = f"{kind}-{found.group(1)[7:].lower().replace('_', '-')}"
                known = row in knowledge.terms.tables["routines"]
                if found.group(group) in self.names:
                    self.registered.setdefault(found.group(group), []).append(row if known else f"{kind}-operation")

    def callback(self, type_name: str) -> str:
        """A documented callback type that routines.yaml does not have, by its own name."""
        if not re.match(r"[A-Z][A-Z0-9_]{5,}$", type_name):
            return ""
        found = self.knowledge.ddis.find(type_name)
        return found.name if found is not None and found.kind == "callback" and found.role == "implemented_by_driver" else ""

    def registration(self, event: Event) -> None:
        """Note what a call or assignment makes of a function of the snippet."""
        data = self.checks.data
        if isinstance(event, Call):
            for entry in data["registers"]:
                if entry["ddi"] == event.name and entry["argument"] < len(event.arguments):
                    name = root_variable(event.arguments[entry["argument"]])
                    if name in self.names:
                        self.registered.setdefault(name, []).append(entry["role"])
                        self.words.setdefault(name, f"`{event.name}`, line {event.line}")
        elif isinstance(event, Assign) and root_variable(event.value) in self.names:
            name, member = root_variable(event.value), re.split(r"->|\.", event.target)[-1].strip()
            major = MAJOR.search(event.target)
            role = data["majors"].get(major.group(1), "") if major else data["members"].get(member) or (self.checks.roles.get(member) if member != event.target else "")
            if role:
                self.registered.setdefault(name, []).append(role)
                self.words.setdefault(name, f"`{event.target}`, line {event.line}")

    def own(self, function: Function) -> list[str]:
        """The roles that the code itself gives a function; empty when it gives none."""
        if function.name in self.registered:
            return list(dict.fromkeys(self.registered[function.name]))
        declared = [(one.group(1), one.group(2)) for one in SAL_CLASS.finditer(function.sal)]
        roles = [self.checks.data["majors"].get(major, "") or self.checks.roles.get(kind, "") or self.callback(kind or "") for kind, major in declared]
        if any(roles):
            return [one for one in roles if one][-1:]
        if function.name in self.checks.roles:
            return [self.checks.roles[function.name]]
        takes = [bare_type(type_name) for type_name, _ in function.parameters]
        returns = bare_type(function.returns)
        said = {str(place.get("routine")) for place in self.prose}
        for entry in self.checks.data["signatures"]:
            wanted = entry["takes"]
            if returns != entry["returns"] or (wanted and [t.lower() for t in takes] != [w.lower() for w in wanted]):
                continue
            options = entry["roles"]
            named = [one["role"] for one in options if one["role"] in said]
            hinted = [one["role"] for one in options if one.get("hint") and one["hint"] in function.name.lower().replace("_", "")]
            plain = [one["role"] for one in options if not one.get("hint")]
            chosen = (named if len(set(named)) == 1 else []) or hinted or plain
            if chosen:
                self.words.setdefault(function.name, f"what `{function.name}` takes and returns")
                return chosen[:1]
        return []

    def annotated(self, function: Function) -> dict[str, Any]:
        """IRQL facts from `_IRQL_requires_...`."""
        place: dict[str, Any] = {}
        for found in SAL_LEVEL.finditer(function.sal):
            level = found.group(2)
            if level not in LEVELS:
                continue
            if found.group(1) != "max_":
                place["irql.lowest"] = level
            if found.group(1) != "min_":
                place["irql.highest"] = level
        if "irql.highest" in place:
            place.setdefault("irql.lowest", "PASSIVE_LEVEL")
        return place

    def places(self, function: Function, pageable: bool, callers: Sequence[Facts], alone: bool) -> list[dict[str, Any]]:
        """
        From where a function runs.

        Args:
            function: The function.
            pageable: Whether its code is pageable, by which its writer claims a low IRQL.
            callers: Places from which functions of the snippet call it.
            alone: Whether it is the only function without a role, so that the prose must mean it.

        Returns:
            Facts of each place; one empty mapping when nothing is known.
        """
        roles = self.own(function)
        if text_of(self.side.get("interrupt.passive", "")) == "true":
            roles = [self.checks.data["passive_forms"].get(role, role) for role in roles]
        sal = self.annotated(function)
        if roles:
            found: list[dict[str, Any]] = [{"routine": role} for role in roles]
        elif callers:
            found = [dict(one) for one in callers]
        elif sal:
            found = [sal]
        elif alone:
            found = [dict(place) for place in self.prose] or [{}]
        else:
            found = [{}]
        return [{**self.side, **place, **(self.claimed(place, pageable))} for place in found]

    def claimed(self, place: Mapping[str, Any], pageable: bool) -> dict[str, Any]:
        """What pageable code implies of its role: of the documented cases, the one in which it may be pageable."""
        row = self.knowledge.terms.row("routines", str(place.get("routine", "")))
        if row is None or not pageable:
            return {}
        for case in row.more.get("cases") or ():
            if case.get("irql") and rank(case["irql"]["highest"]) <= 1 and not any(text_of(self.side.get(fact, value)) != text_of(value) for fact, value in case["when"].items()):
                return {str(fact): text_of(value) for fact, value in case["when"].items()}
        return {}


__all__ = ["Roles", "events_of", "strip"]
