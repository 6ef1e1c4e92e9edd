"""A text and the question before it in, the question as it was read out: the stages of this room in their order."""

from __future__ import annotations

from dataclasses import replace

from kb.ddis import DdiTable
from kb.question.follow import carry
from kb.question.kinds import kind_of, out_of_scope
from kb.question.places import sites_in
from kb.question.reading import Reading
from kb.question.records import MEMORY_ACTS, Fact, Question, Site, Use
from kb.question.stated import shared_facts
from kb.question.subjects import subjects_of
from kb.question.uses import uses_of
from kb.question.vocabulary import Vocabulary
from kb.terms import Terms


class Reader:
    """Reads questions with the words of the knowledge files."""

    def __init__(self, terms: Terms, ddis: DdiTable) -> None:
        """Prepare the vocabulary once; reading a question then takes a few milliseconds."""
        self.vocabulary = Vocabulary(terms, ddis)

    def read(self, text: str, earlier: Question | None = None) -> Question:
        """
        Read one question.

        Args:
            text: What the user typed.
            earlier: The previous question of the conversation as it was read, or None.

        Returns:
            The question with its facts; a follow-up carries, replaces or drops the earlier facts.
        """
        reading = Reading(self.vocabulary, text, alone=earlier is None)
        question, sites = alone(reading)
        if earlier is not None:
            earlier = earlier.behind or earlier
            question = carry(question, reading, sites, earlier)
            if question.refusal or reading.cues("new_subject") and not question.uses:
                return replace(question, behind=earlier)
            if question.before is None:
                question = replace(question, before=replace(earlier, before=None, behind=None))
        touched = tuple(use for use in question.uses if use.get("act") in MEMORY_ACTS)
        return replace(question, memory=touched or (earlier.memory if earlier is not None else ()))


def alone(reading: Reading) -> tuple[Question, list[Site]]:
    """The question that a text states by itself, and the places it names."""
    kind = kind_of(reading)
    shared, stated = shared_facts(reading)
    subjects, subject_positions = subjects_of(reading, kind)
    sites = sites_in(reading, subject_positions)
    uses = uses_of(reading, kind, subjects, sites, shared)
    named = [one.value for one in reading.mentions if one.kind == "ddi" and not one.negated]
    question = Question(
        text=reading.text,
        kind=kind,
        facts=(*stated, *use_facts(reading, uses, sites, shared)),
        uses=tuple(uses),
        proposed=shared.get("memory.pool", ""),
        asks_pool=bool(reading.cues("pool_question")) or len({one.value for one in reading.pool_mentions()}) == 2,
        ddis=tuple(dict.fromkeys([*(name for what, name in subjects if what == "ddi"), *named])),
        rows=tuple(dict.fromkeys((one.table, one.value) for one in reading.mentions if one.kind == "row" and not one.negated)),
        unknown_names=tuple(dict.fromkeys(one.value for one in reading.mentions if one.kind == "unknown_name")),
        corrected=tuple((one.words, one.value) for one in reading.mentions if one.corrected),
        aside=reading.aside,
        snippets=reading.snippets,
        places=tuple({**{name: value for name, value in shared.items() if name != "driver.model"}, **site.facts()} for site in sites) or (({**shared},) if shared else ()),
        bugcheck=reading.bugcheck,
        refusal=out_of_scope(reading),
        windows=tuple(one.value for one in reading.named_facts("windows")),
        shared=shared,
    )
    return question, sites


def use_facts(reading: Reading, uses: list[Use], sites: list[Site], shared: dict[str, str]) -> list[Fact]:
    """The facts of each use that do not hold for the whole question, each with the words of its place."""
    facts = []
    for number, use in enumerate(uses):
        for name, value in use.items():
            if name in shared or name == "irql.apart":
                continue
            words = next((site.words for site in sites if site.facts().items() <= use.items()), [])
            facts.append(Fact(name, ", ".join(value) if isinstance(value, tuple) else value, number, "; ".join(words) or reading.text[:80]))
    return facts
