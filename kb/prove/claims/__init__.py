"""Table rows in, claims out: each figure of a row with what its citations must say for it to stand there. A module a table."""

from kb.prove.claims.claim import Claim, says_number
from kb.prove.claims.every import claims

__all__ = ["Claim", "claims", "says_number"]
