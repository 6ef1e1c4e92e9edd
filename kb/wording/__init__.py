"""An answer in, the same answer worded by a language model out; what the model writes is shown only when nothing in it differs from the answer."""

from kb.wording.check import fault
from kb.wording.model import Proposal, Wording, configured

__all__ = ["Proposal", "Wording", "configured", "fault"]
