"""What a message says, as data: the Case, read from JSON and changed by patches alone."""

from kb.case.load import CaseError, read_case
from kb.case.patch import apply_patch, between, canonical, inverse
from kb.case.records import (
    ASK_KINDS,
    JUDGED,
    Act,
    Ask,
    Block,
    Case,
    Fact,
    Held,
    Irql,
    Place,
    Symptom,
    Unknown,
    known,
    words_of,
)
from kb.case.schema import schema

__all__ = [
    "ASK_KINDS",
    "JUDGED",
    "Act",
    "Ask",
    "Block",
    "Case",
    "CaseError",
    "Fact",
    "Held",
    "Irql",
    "Place",
    "Symptom",
    "Unknown",
    "apply_patch",
    "between",
    "canonical",
    "inverse",
    "known",
    "read_case",
    "schema",
    "words_of",
]
