"""The two DDI tables in, a documented routine by its name out: IRQL range, conditions, pages, near names."""

from kb.ddis.lines import COLUMNS
from kb.ddis.records import Ddi, DdiRow, describe
from kb.ddis.shown import contradictions_lines, irql_json, irql_text, not_found
from kb.ddis.table import DdiTable

__all__ = ["COLUMNS", "Ddi", "DdiRow", "DdiTable", "contradictions_lines", "describe", "irql_json", "irql_text", "not_found"]
