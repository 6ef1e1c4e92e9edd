"""The Case's records in, their JSON schema out: what scripts, forms and coding assistants fill in."""

from __future__ import annotations

from typing import Any

from kb.case.records import Case

NOTES = {
    "Fact": "written plainly it is stated and said",
    "Unknown": "a name that no table knows is kept, and what hangs on it is conditional",
}


def schema() -> dict[str, Any]:
    """
    The JSON schema of a Case.

    Returns:
        JSON Schema, draft 2020-12. A fact may also be a plain text, boolean or number; a lock held may also be its row;
        `about` may also be one id.
    """
    made: dict[str, Any] = Case.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = made["$defs"]
    for name, note in NOTES.items():
        definitions[name]["description"] = note
    plain = {"type": ["string", "boolean", "number"]}
    made["$defs"]["Fact"] = {"oneOf": [plain, {**definitions["Fact"]}]}
    made["$defs"]["Held"] = {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/Unknown"}, {**definitions["Held"]}]}
    about = definitions["Ask"]["properties"]["about"]
    definitions["Ask"]["properties"]["about"] = {"oneOf": [{"type": "string"}, about]}
    return made
