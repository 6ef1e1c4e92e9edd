"""Facts and rules in, a verdict with its derivation out. Reads no file, clock or model, but for `load_knowledge`."""

from kb.engine.availability import since_of
from kb.engine.decision import decide
from kb.engine.knowledge import Knowledge, load_knowledge
from kb.engine.limits import limits_of
from kb.engine.place import Place, place_of
from kb.engine.records import OUTSIDE_POOL, Facts, Judgement, Step, Value, Verdict
from kb.engine.rules import remedy_for, try_rule
from kb.engine.truth import compare, holds
from kb.engine.use import judge
from kb.engine.verdict import pool_of, with_pool
from kb.engine.words import ddi_citations, row_condition, row_words, span

__all__ = [
    "OUTSIDE_POOL",
    "Facts",
    "Judgement",
    "Knowledge",
    "Place",
    "Step",
    "Value",
    "Verdict",
    "compare",
    "ddi_citations",
    "decide",
    "holds",
    "judge",
    "limits_of",
    "load_knowledge",
    "place_of",
    "pool_of",
    "remedy_for",
    "row_condition",
    "row_words",
    "since_of",
    "span",
    "try_rule",
    "with_pool",
]
