"""Rules and tables in, docs/rules, docs/tables and docs/coverage.md out: python -m kb.reference [--check]."""

from kb.reference.coverage import read_coverage, reference_link
from kb.reference.files import pages, stale, write

__all__ = ["pages", "read_coverage", "reference_link", "stale", "write"]
