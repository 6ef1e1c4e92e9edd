"""A question in, an Answer out: reading, verdict, passages and text in one function."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.answer import Answer, compose
from kb.engine import Knowledge, Verdict, decide, load_knowledge
from kb.question import MEMORY_ACTS, Question, Reader
from kb.retriever import Passage, Retriever
from kb.wording import Proposal, Wording

PASSAGES = 6  # passages retrieved for one answer


def memory_of(uses: Sequence[Mapping[str, str | tuple[str, ...]]]) -> tuple[Mapping[str, str | tuple[str, ...]], ...]:
    """What pasted code does with memory, for the next question of the conversation; its pool is what may change then."""
    return tuple({name: value for name, value in use.items() if name not in ("memory.pool", "apcs")} for use in uses if use.get("act") in MEMORY_ACTS)


def calls_of(uses: Sequence[Mapping[str, str | tuple[str, ...]]], reader: Reader) -> tuple[Mapping[str, str | tuple[str, ...]], ...]:
    """What pasted code calls, the taking and leaving of locks aside, for the next question of the conversation."""
    locks = {*reader.vocabulary.acquirers, *reader.vocabulary.releasers}
    return tuple({name: value for name, value in use.items() if name != "apcs"} for use in uses if use.get("act") == "call" and str(use.get("ddi", "")).lower() not in locks)


class Assistant:
    """Everything that answers, built once and shared by all users; it keeps no conversation."""

    def __init__(self, knowledge: Knowledge, index_folder: Path) -> None:
        """Read questions with *knowledge*; look for the index in *index_folder* when a passage is wanted."""
        self.knowledge = knowledge
        self.reader = Reader(knowledge.terms, knowledge.ddis)
        self.index_folder = index_folder
        self._retriever: Retriever | None = None
        self._lock = threading.Lock()
        self._wording: Wording | None = None
        self._wording_opened = False
        self.notice = ""

    @classmethod
    def open(cls, index_folder: Path | None = None) -> Assistant:
        """
        Load the knowledge.

        Args:
            index_folder: Where the index is; by default `KB_INDEX` or `index/` in the repository.

        Returns:
            The assistant; it answers rule questions at once, with or without an index.

        Raises:
            KnowledgeError: A knowledge file is malformed.
        """
        from kb.index import default_folder

        folder = index_folder or default_folder()
        own = folder / "ddis.csv"  # DDI facts of the user's own sources
        return cls(load_knowledge([own] if own.is_file() else ()), folder)

    def retriever(self) -> Retriever | None:
        """The retriever, opened at first use; None, with `notice` set, when there is no usable index."""
        with self._lock:
            if self._retriever is None:
                from kb.index import Index, IndexMissingError

                try:
                    self._retriever = Retriever(Index.open(self.index_folder), self.knowledge.ddis)
                    self.notice = ""
                except IndexMissingError as error:
                    self.notice = str(error)
            return self._retriever

    def wording(self) -> Wording | None:
        """The optional language model that words answers, opened at first use; None when `KB_CHAT_MODEL` is not set."""
        with self._lock:
            if not self._wording_opened:
                self._wording, self._wording_opened = Wording.open(), True
            return self._wording

    def propose(self, question: Question) -> Proposal | None:
        """
        What the language model takes for the fact that reading left unknown; it counts only once the user confirms it.

        Args:
            question: A question whose verdict is undetermined.

        Returns:
            The proposal with the words that it quotes; None without a model, or when nothing is unknown.
        """
        wording = self.wording()
        verdict = decide(question.uses, self.knowledge, question.proposed) if wording is not None and question.uses else Verdict()
        term = self.knowledge.terms.facts.get(verdict.unknown[0]) if verdict.unknown else None
        return wording.propose(question, term) if wording is not None and term is not None else None

    def warm(self) -> None:
        """Load the index and its model in the background, so that the first question need not wait."""

        def load() -> None:
            self.wording()
            retriever = self.retriever()
            if retriever is not None:
                retriever.find("which pool at DISPATCH_LEVEL", k=1)

        threading.Thread(target=load, name="warm", daemon=True).start()

    def ask(self, text: str, earlier: Answer | None = None) -> Answer:
        """
        Answer one question.

        Args:
            text: What the user typed.
            earlier: The previous answer of the same conversation, None at its start.

        Returns:
            The answer: verdict, derivation, citations and Markdown.
        """
        question = self.reader.read(text, earlier.question if earlier is not None else None)
        return self.answer(question)

    def answer(self, question: Question) -> Answer:
        """The answer to a question that is read already."""
        verdict = decide(question.uses, self.knowledge, question.proposed) if question.uses and not question.refusal else Verdict()
        reviewed = None
        if question.snippets and not question.refusal:
            from kb.snippet import review  # tree-sitter, wanted for pasted code only

            reviewed = review("\n\n".join(question.snippets), question.places, self.knowledge)
            outcome = "forbidden" if reviewed.findings else "allowed" if reviewed.uses else "none"
            steps = tuple(dict.fromkeys(step for finding in reviewed.findings for step in finding.steps))
            question = replace(question, memory=memory_of(reviewed.uses) or question.memory, pasted=calls_of(reviewed.uses, self.reader))
            verdict = Verdict(outcome=outcome, pool=reviewed.pool, derivation=steps)
            limits = [finding.limit for finding in reviewed.findings]
            if limits and limits[0] is not None and reviewed.pool == "n/a" and all(limits):  # all that is wrong is where something is called
                verdict = replace(verdict, callable="no", min_irql=limits[0][0], max_irql=limits[0][1])
        elif question.kind == "migration" and verdict.pool == "n/a" and question.proposed:
            # contract.md: in a migration, the pool that the replaced call gave
            verdict = replace(verdict, pool={"paged": "paged_ok", "nonpaged": "nonpaged_required"}[question.proposed], outcome="allowed" if verdict.outcome == "none" else verdict.outcome)
        answer = compose(question, verdict, self.knowledge, self.find, self.retriever(), self.notice, reviewed)
        if answer.abstained:
            self.log_gap(answer)
            return answer
        wording = self.wording()
        return wording.word(answer) if wording is not None else answer

    def find(self, question: Question) -> Sequence[Passage]:
        """Passages for a question; none without an index."""
        retriever = self.retriever()
        if retriever is None:
            return ()
        names = [*question.ddis, *(name for table, row_id in question.rows if (row := self.knowledge.terms.row(table, row_id)) for name in row.names[:1])]
        return retriever.find(question.text, names=names[:6], k=PASSAGES)

    def search(self, text: str, k: int = 10) -> list[Passage]:
        """
        Passages for a text, best first, one a section at most.

        Raises:
            IndexMissingError: There is no index; the message gives the command that builds it.
        """
        retriever = self.retriever()
        if retriever is None:
            from kb.index import IndexMissingError

            raise IndexMissingError(self.notice)
        return retriever.find(text, k=k)

    def log_gap(self, answer: Answer) -> None:
        """Keep a question that got no answer, locally, as a gap to close; `KB_LOG=0` turns it off."""
        if os.environ.get("KB_LOG") == "0" or not self.index_folder.is_dir():
            return
        entry: dict[str, Any] = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "question": answer.question.text[:2000], "reason": answer.question.refusal or "no evidence"}
        try:
            with (self.index_folder / "gaps.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError:
            return  # a log that cannot be written must not cost an answer
