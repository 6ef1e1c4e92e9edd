"""An object in, where it may be stored out."""

from __future__ import annotations

from kb.engine.knowledge import Knowledge
from kb.engine.records import Step, Value
from kb.engine.truth import holds
from kb.engine.words import titled
from kb.terms import Citation, text_of


def storage_of(facts: dict[str, Value], knowledge: Knowledge, steps: list[Step]) -> None:
    """
    Add what the object table says of where an object may live.

    Args:
        facts: Extended with `object.storage` and, where a case holds, `storage.allowed`.
        knowledge: The object and lock tables.
        steps: The step is appended.
    """
    name = facts.get("object")
    row = knowledge.terms.row("objects", name) if isinstance(name, str) else None
    if row is None or facts.get("act") != "store" or "storage" not in row.more:
        return
    facts["object.storage"] = str(row.more.get("storage", "nonpaged"))
    facts["storage.allowed"] = "no_case"
    for case in row.more.get("cases") or ():
        truth, missing = holds(case["when"], facts)
        if truth == "true":
            facts["storage.allowed"] = text_of(case.get("allowed", True))
            own = tuple(Citation.read(entry, row.id) for entry in case.get("citations") or ())
            steps.append(
                Step(
                    f"objects/{row.id}", " ".join(str(case.get("note") or row.note).split()), ("object", *case["when"]), own or row.citations, ("storage.allowed", "object.storage")
                )
            )
            return
        if truth == "unknown" and "memory.place" in facts and "memory.place" not in missing and "memory.place" in case["when"]:
            facts["storage.waits"] = missing
            del facts["storage.allowed"]
            break
    steps.append(Step(f"objects/{row.id}", titled(row), ("object",), row.citations, ("object.storage",)))
