"""What cannot be answered in, one friendly Markdown sentence out."""

from __future__ import annotations

from kb.answer.cites import Cites
from kb.answer.shapes import level_table
from kb.engine import Knowledge, ddi_citations, span
from kb.question import Question

SCOPE = "I answer questions about kernel-mode memory in Windows drivers: which pool, at which IRQL, whether a routine may be called, and why a machine stopped with a bug check."
OUTSIDE = {
    "user-mode memory": "This is about user-mode memory, which is outside what I know.",
    "other systems": "This is about another system than the Windows kernel.",
    "GPU memory": "This is about graphics memory, which is outside what I know.",
    "exploits": "I do not help with attacking or hiding from a system.",
    "end-user crash help": "This looks like a crash on a personal computer rather than a driver under development.",
    "small talk": "This is outside what I know.",
}


def out_of_scope(question: Question) -> str:
    """One sentence on why, one on what is answered here."""
    return f"{OUTSIDE.get(question.refusal, OUTSIDE['small talk'])} {SCOPE}"


def no_evidence() -> str:
    """The answer when nothing known bears on the question."""
    return f"I found nothing in the rules or the documentation that answers this, so I give no verdict. {SCOPE} Name the routine, the IRQL or the object, and I can say more."


def unknown_names(question: Question, knowledge: Knowledge, cites: Cites) -> str:
    """
    Say that a name is not documented, and offer the nearest that are.

    Args:
        question: It holds the names.
        knowledge: The DDI table.
        cites: Numbers the pages of the real routines.

    Returns:
        The Markdown; it cites only pages of routines that exist.
    """
    lines = []
    for name in question.unknown_names[:3]:
        near = knowledge.ddis.near(name, 3)
        offered = []
        for other in near:
            ddi = knowledge.ddis.find(other)
            if ddi is None:
                continue
            level = f" ({span(ddi.min or 'PASSIVE_LEVEL', ddi.max)})" if ddi.max else ""
            offered.append(f"`{ddi.name}`{level}{cites.marks(ddi_citations(ddi, ddi.rows), 1)}")
        lines.append(f"**`{name}` is not a documented routine**, so I give no verdict on it." + (f" The nearest documented names are {', '.join(offered)}." if offered else ""))
    for name in question.ddis[:2]:
        ddi = knowledge.ddis.find(name)
        if ddi is not None and ddi.rows:
            lines += ["", f"What is documented of `{ddi.name}`:", "", *level_table(ddi, cites)]
    return "\n".join(lines)
