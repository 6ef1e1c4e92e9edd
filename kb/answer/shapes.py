"""A verdict in, Markdown for a decision, a call, a place or a stored object out: verdict first, then why, then what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kb.answer.cites import Cites
from kb.ddis import Ddi
from kb.engine import Judgement, Knowledge, Step, Verdict, ddi_citations, remedy_for, row_condition, row_words, span
from kb.question import Question
from kb.terms import LEVELS, Row, text_of

POOL_HEADLINES = {
    "nonpaged_required": "**Use nonpaged pool.**",
    "paged_ok": "**Paged pool is fine**, and the better citizen: nonpaged pool is scarce.",
    "either": "**Either pool is fine** for this object.",
    "not_allowed": "**Not there: no pool can be {act} at this IRQL.**",
}
CODE = {
    "nonpaged_required": ("POOL_FLAG_NON_PAGED", "NonPagedPoolNx"),
    "paged_ok": ("POOL_FLAG_PAGED", "PagedPool"),
}
ALLOCATED_UP_TO = "nonpaged-pool-allocated-up-to-dispatch"  # the rule that says where the pool which is needed may be allocated
NAMED = re.compile(r"(?<![`\w.])([A-Z][A-Z0-9]*_LEVEL|DIRQL|POOL_FLAG_[A-Z_]+|(?:Ex|Ke|Io|Mm|Zw|Flt|Rtl|Wdf|Ob|Ps)[A-Z]\w{3,})(?![`\w])")


def coded(text: str) -> str:
    """Put code marks around levels and routine names that stand bare in our prose."""
    pieces = re.split(r"(`[^`]*`|\[[^\]]*\]\([^)]*\))", text)
    return "".join(piece if number % 2 else NAMED.sub(r"`\1`", piece) for number, piece in enumerate(pieces))


def sentence(text: str) -> str:
    """A sentence with a capital first letter and a full stop."""
    text = " ".join(text.split()).strip()
    if not text:
        return ""
    if not text.startswith("`"):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!", ":")) else text + "."


def place_words(use: Mapping[str, object], knowledge: Knowledge) -> str:
    """Where a use happens: `in a DpcForIsr routine, while a spin lock is held`."""
    parts = []
    routine = use.get("routine")
    if isinstance(routine, str):
        row = knowledge.terms.row("routines", routine)
        parts.append("in " + (row.title if row is not None else f"`{routine}`"))
    highest, lowest = use.get("irql.highest"), use.get("irql.lowest")
    if isinstance(highest, str) and isinstance(lowest, str):
        parts.append("at " + span(lowest, highest))
    locks = use.get("lock")
    for lock in locks if isinstance(locks, tuple) else ():
        row = knowledge.terms.row("locks", lock)
        if row is not None:
            parts.append(f"with {row.title} held")
    return ", ".join(parts)


def act_words(use: Mapping[str, object], knowledge: Knowledge) -> str:
    """What a use does: `touch the memory`, `call X`."""
    act = use.get("act")
    if act == "call":
        ddi = knowledge.ddis.find(str(use.get("ddi")))
        pooled = ddi is not None and "memory.pool" in use and any("memory.pool" in row.when for row in ddi.rows)
        return f"call `{use.get('ddi')}`" + (f" for {use['memory.pool']} pool memory" if pooled else "")
    if act == "acquire":
        row = knowledge.terms.row("locks", str(use.get("acquired")))
        return f"acquire {row.title}" if row is not None else "acquire the lock"
    if act == "store":
        row = knowledge.terms.row("objects", str(use.get("object")))
        return f"store {row.title}" if row is not None else "store the object"
    if act == "exist":
        argument = knowledge.terms.row("pool_arguments", str(use.get("pool.argument", "")))
        windows = knowledge.terms.facts["windows"].labels.get(str(use.get("windows")), str(use.get("windows")))
        return f"use {argument.title if argument is not None else '`' + str(use.get('ddi')) + '`'} on {windows}"
    pool = str(use.get("memory.pool") or "")
    memory = f"memory from {pool} pool" if pool in ("paged", "nonpaged") else "the memory"
    if act == "touch" and use.get("memory.place") not in (None, "pool"):
        place = knowledge.terms.facts["memory.place"].labels.get(str(use["memory.place"]), "the memory")
        return f"touch {place}"
    return {"allocate": f"allocate {memory}", "touch": f"touch {memory}", "free": f"free {memory}", "wait": "wait", "run": "run this code"}.get(str(act), str(act))


def steps_markdown(steps: Sequence[Step], cites: Cites) -> list[str]:
    """The derivation as numbered lines, each with its citations."""
    lines = []
    for number, step in enumerate(steps, start=1):
        lines.append(f"{number}. {coded(sentence(step.says))}{cites.marks(step.citations)}")
    return lines


def contradictions_markdown(verdict: Verdict, cites: Cites) -> list[str]:
    """What the question says and the rules contradict, first and politely."""
    return [f"**A correction first:** {coded(sentence(fault.says))}{cites.marks(fault.citations)}" for fault in verdict.contradictions]


def assumptions_markdown(verdict: Verdict, knowledge: Knowledge) -> str:
    """What was assumed, in one line; empty when nothing was."""
    parts = []
    for name, value in sorted(verdict.assumed.items()):
        fact = knowledge.terms.facts.get(name)
        if fact is None:
            continue
        parts.append(fact.assuming if fact.assume == value and fact.assuming else fact.labels.get(value, value))
    touched = [one for one in verdict.judgements if one.facts.get("act") in ("allocate", "touch", "free")]
    if verdict.pool == "paged_ok" and touched and not any(one.facts.get("lock") for one in touched):
        parts.insert(0, "no spin lock is held while the memory is allocated, touched or freed")
    return "**Assumed:** " + "; ".join(parts) + "." if parts else ""


def branches_markdown(verdict: Verdict, knowledge: Knowledge) -> list[str]:
    """What holds in each case of the unknown fact."""
    lines = []
    for branch in verdict.branches:
        fact = knowledge.terms.facts.get(branch.fact)
        label = f"`IRQL {branch.value}`" if branch.value.startswith("<=") else f"`IRQL = {branch.value}`" if branch.fact == "irql" else (fact.labels.get(branch.value, branch.value) if fact else branch.value)
        holds = []
        if branch.callable != "n/a":
            holds.append({"yes": "allowed", "no": "not allowed", "conditional": "it still depends"}[branch.callable])
        if branch.pool != "n/a":
            holds.append({"nonpaged_required": "nonpaged pool is required", "paged_ok": "paged pool is fine", "either": "either pool is fine", "not_allowed": "no pool can be used there", "depends": "it still depends"}[branch.pool])
        lines.append(f"- {sentence(label)[:-1]}: {', '.join(holds) or branch.outcome}.")
    return lines


def ask_for(verdict: Verdict, knowledge: Knowledge) -> tuple[str | None, tuple[str, ...]]:
    """The one question that settles an undetermined verdict, and the choices to offer."""
    if verdict.outcome != "undetermined" or not (verdict.unknown or verdict.condition):
        return None, ()
    if not verdict.unknown:
        return f"Which case is it: {verdict.condition}?", ()
    name = verdict.unknown[0]
    fact = knowledge.terms.facts.get(name)
    if fact is None or not fact.ask:
        return (f"Is it {verdict.condition}?" if verdict.condition else None), ()
    if name.startswith("irql."):
        return fact.ask, ("At PASSIVE_LEVEL or APC_LEVEL only", "Also at DISPATCH_LEVEL")
    return fact.ask, tuple(fact.labels[value] for value in fact.values)


HOMES = {"device_extension": "a device extension", "pool": "nonpaged pool", "global": "a global variable", "stack": "the stack of the thread that uses it", "object_context": "a framework object's context"}


def homes_of(verdict: Verdict, knowledge: Knowledge) -> str:
    """Where the documentation lets the object live that the question puts elsewhere; empty when it names no homes."""
    for one in verdict.judgements:
        row = knowledge.terms.row("objects", str(one.facts.get("object", "")))
        if one.outcome == "forbidden" and row is not None and row.more.get("places"):
            homes = [HOMES.get(str(place), str(place)) for place in row.more["places"]]
            listed = homes[0] if len(homes) == 1 else ", ".join(homes[:-1]) + " or " + homes[-1]
            return f"Keep {row.title} in {listed}."
    return ""


def remedy_of(verdict: Verdict, knowledge: Knowledge) -> tuple[str, tuple[Step, ...]]:
    """The cure that the deciding rule names, and the step it belongs to."""
    by_id = {rule.id: rule for rule in knowledge.rules}
    ordered = sorted(verdict.judgements, key=lambda one: one.facts.get("act") != "touch")  # where it may be touched tells more than where it is allocated
    for judgement in ordered:
        if judgement.outcome == "forbidden" and judgement.steps:
            rule = by_id.get(judgement.steps[-1].rule)
            advice = remedy_for(rule, judgement.facts, knowledge.terms) if rule is not None else ""
            if advice:
                return advice, (judgement.steps[-1],)
    return "", ()


def pool_code(pool: str, windows: Sequence[str], cites: Cites, knowledge: Knowledge) -> list[str]:
    """Code for the decided pool, and for older Windows where it differs."""
    if pool not in CODE:
        return []
    flag, pool_type = CODE[pool]
    modern = knowledge.terms.row("allocators", "exallocatepool2")
    older = knowledge.terms.row("allocators", "exallocatepoolzero")
    out = ["```c", f"p = ExAllocatePool2({flag}, size, 'gaTD');   // zeroed; returns NULL on failure", "```"]
    marks = cites.marks([citation for citation in (modern.citations if modern else ()) if citation.section in ("requirements", "remarks")][:4:3]) if modern else ""
    if older is not None:
        out.append(
            f"`ExAllocatePool2` needs Windows 10, version 2004{marks}. From Windows 8 to Windows 10, version 1909: `ExAllocatePoolZero({pool_type}, size, 'gaTD')`, built with "
            f"`POOL_ZERO_DOWN_LEVEL_SUPPORT` and after `ExInitializeDriverRuntime` in `DriverEntry`{cites.marks(older.citations, 3)}."
        )
    del windows
    return out


def decision(question: Question, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for a question about a pool, or about a place and what may be done there."""
    lines = contradictions_markdown(verdict, cites)
    acts = {str(one.facts.get("act")) for one in verdict.judgements}
    if verdict.pool == "depends":
        if verdict.callable == "n/a":
            lines.append("**It depends.**")
    elif verdict.pool in POOL_HEADLINES:
        verb = "freed" if acts == {"free"} else "allocated"
        headline = POOL_HEADLINES[verdict.pool].format(act=verb)
        if verdict.pool == "nonpaged_required" and question.proposed == "paged":
            headline = "**No, paged pool will not do: it must be nonpaged.**"
        if verdict.pool == "nonpaged_required" and any(one.facts.get("act") == "touch" and one.outcome == "forbidden" for one in verdict.judgements):
            headline += " What decides is the highest IRQL at which the memory is ever touched, not the one at which it is allocated."
        elif verdict.pool == "paged_ok" and question.proposed == "nonpaged":
            headline = "**Nonpaged pool works but is not needed: paged pool is fine**, and nonpaged pool is scarce."
        lines.append(headline)
    if verdict.callable != "n/a":
        lines += call_headline(question, verdict, knowledge)
    elif verdict.pool == "n/a" and verdict.judgements:
        worst = {one.outcome for one in verdict.judgements}
        place = place_words(verdict.judgements[0].facts, knowledge)
        does = act_words(verdict.judgements[0].facts, knowledge)
        if "forbidden" in worst:
            lines.append(f"**No.** You must not {does} {place}.")
        elif "undetermined" in worst:
            lines.append("**It depends.**")
        else:
            lines.append(f"**Yes.** You may {does} {place}.".replace(" .", "."))
    if verdict.branches:
        lines += ["", *branches_markdown(verdict, knowledge)]
        if verdict.pool == "depends" and any(branch.fact == "irql" for branch in verdict.branches):
            scarce = next((rule for rule in knowledge.rules if rule.id == "nonpaged-pool-is-resident"), None)
            lines += [
                "",
                "Every allocation, every touch and every free must be at `IRQL <= APC_LEVEL` for paged pool; whatever is used in a DPC or under a spin lock needs nonpaged pool. "
                "Nonpaged pool is scarce, so take paged pool wherever that holds." + (cites.marks(scarce.citations, 1) if scarce is not None else ""),
            ]
    elif verdict.condition:
        lines.append(f"It depends on this: {coded(verdict.condition)}.")
    if verdict.derivation:
        lines += ["", "**Why**", "", *steps_markdown(verdict.derivation, cites)]
    remedy, rested = remedy_of(verdict, knowledge)
    homes = homes_of(verdict, knowledge)
    if homes:
        remedy = homes
    code = pool_code(verdict.pool, question.windows, cites, knowledge) if any(act in ("allocate", "touch", "store") for act in acts) and question.asks_pool else []
    if remedy or code:
        lines += ["", "**What to do**", ""]
        allowed = next((rule for rule in knowledge.rules if rule.id == ALLOCATED_UP_TO), None)
        if allowed is not None and verdict.pool == "nonpaged_required" and "allocate" in acts:
            lines += [coded(sentence(allowed.title)) + cites.marks(allowed.citations, 1), ""]
        if remedy:
            lines.append(coded(sentence(remedy)) + (cites.marks(rested[0].citations, 1) if rested else ""))
        lines += code
    assumed = assumptions_markdown(verdict, knowledge)
    if assumed:
        lines += ["", assumed]
    return "\n".join(lines)


def call_headline(question: Question, verdict: Verdict, knowledge: Knowledge) -> list[str]:
    """The first line of an answer about a call."""
    judged = [one for one in verdict.judgements if one.facts.get("act") in ("call", "acquire", "wait", "run", "exist")] or [one for one in verdict.judgements if one.outcome != "none"]
    if not judged:
        return []
    worst = next((one for one in judged if one.outcome == "forbidden"), next((one for one in judged if one.outcome == "undetermined"), judged[0]))
    place = place_words(worst.facts, knowledge)
    does = act_words(worst.facts, knowledge)
    del question
    where = f" {place}" if place else ""
    if verdict.callable == "no":
        return [f"**No.** You must not {does}{where}."]
    if verdict.callable == "yes":
        return [f"**Yes.** You may {does}{where}."]
    if not place and verdict.unknown and verdict.unknown[0].startswith("irql."):
        return [f"**It depends on the IRQL of the caller** whether you may {does}."]
    return [f"**It depends.** Whether you may {does}{where} turns on one more fact."]


def level_table(ddi: Ddi, cites: Cites) -> list[str]:
    """The documented IRQL of a DDI, a row a condition, with its sources."""
    rows = [row for row in ddi.rows if row.min or row.max]
    if not rows:
        return [f"The reference page of `{ddi.name}` states no IRQL{cites.marks(ddi_citations(ddi, ddi.rows), 1)}."]
    table: dict[tuple[str, str], list[str]] = {}
    for row in (*rows, *ddi.history):
        condition = f"{row_condition(row)} until {row.until}".strip() if row.until else row_condition(row) or "always"
        level = span(row.min or "PASSIVE_LEVEL", row.max or "HIGH_LEVEL")
        if row.source == "header" or not row.page:
            source = "header annotation"
        else:
            source = {"page": "requirements", "remarks": "Remarks", "correction": "read by hand"}[row.source] + cites.marks(ddi_citations(ddi, [row]), 1)
        sources = table.setdefault((condition, level), [])
        if source not in sources:
            sources.append(source)
    return ["| condition | IRQL | source |", "| --- | --- | --- |", *(f"| {coded(condition)} | {level} | {'; '.join(sources)} |" for (condition, level), sources in table.items())]


def api_irql(question: Question, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for a question about a call: whether, why, and the table of documented levels."""
    lines = contradictions_markdown(verdict, cites)
    subjects = [str(one.facts["ddi"]) for one in verdict.judgements if one.facts.get("act") == "call" and "ddi" in one.facts]
    placed = any("irql.highest" in one.facts or "routine" in one.facts for one in verdict.judgements)
    if placed or not subjects:
        told = verdict if question.asks_pool or not subjects else calls_only(verdict)
        lines.append(decision(question, replace_contradictions(told), knowledge, cites))
    for name in dict.fromkeys(subjects):
        ddi = knowledge.ddis.find(name)
        if ddi is None:
            continue
        if not placed:
            level = f"at {span(verdict.min_irql or 'PASSIVE_LEVEL', verdict.max_irql)}" if verdict.max_irql and len(set(subjects)) == 1 else ""
            lines.append(f"**`{ddi.name}` may be called {level}.**" if level else f"**`{ddi.name}`:**")
        lines += ["", *level_table(ddi, cites)]
        if ddi.contradictions:
            lines += ["", "The documentation disagrees with itself here: " + coded("; ".join(ddi.contradictions)) + "."]
        if ddi.deprecated_by:
            lines.append(f"\n`{ddi.name}` is deprecated; use `{ddi.deprecated_by}`.")
    others = [name for name in question.ddis if name not in subjects and name.lower() not in knowledge.terms.registers]
    for name in others[:2]:
        ddi = knowledge.ddis.find(name)
        if ddi is not None and ddi.rows and ddi.role == "called_by_driver":
            lines += ["", f"For comparison, `{ddi.name}`:", "", *level_table(ddi, cites)]
    said = {step.rule for step in verdict.derivation}
    notes = [row for name in dict.fromkeys(subjects) for row in rows_about(name, knowledge) if f"{row.table}/{row.id}" not in said][:3]
    if notes:
        lines += ["", "**Worth knowing**", "", *(f"- {titled(row)}{cites.marks(row.citations)}" for row in notes)]
    return "\n".join(lines)


def titled(row: Row) -> str:
    """A row's title and note as one paragraph."""
    title = row.title if row.title.startswith("`") else row.title[0].upper() + row.title[1:]
    return f"**{title}.** {coded(row.note)}"


def rows_about(name: str, knowledge: Knowledge) -> list[Row]:
    """Rows of the lock, allocator and object tables that a documented routine acquires, is, or initializes."""
    found = []
    for table, keys in (("locks", ("acquire", "free")), ("objects", ("ddis",))):
        for row in knowledge.terms.tables.get(table, {}).values():
            if any(name in (row.more.get(key) or ()) for key in keys):
                found.append(row)
                break
    found += [row for row in knowledge.terms.tables.get("allocators", {}).values() if name in row.names][:1]
    return found


def calls_only(verdict: Verdict) -> Verdict:
    """The verdict without the memory that the question mentions by the way."""
    from dataclasses import replace

    judged = tuple(one for one in verdict.judgements if one.facts.get("act") in ("call", "acquire", "wait", "exist"))
    return replace(verdict, pool="n/a", judgements=judged, derivation=tuple(dict.fromkeys(step for one in judged for step in one.steps))) if judged else verdict


def replace_contradictions(verdict: Verdict) -> Verdict:
    """The verdict without contradictions, for a part of an answer that has told them already."""
    from dataclasses import replace

    return replace(verdict, contradictions=())


def context(question: Question, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for a question about the level at which a routine runs, and what follows."""
    lines = contradictions_markdown(verdict, cites)
    for table, row_id in question.rows:
        row = knowledge.terms.row(table, row_id)
        if table == "routines" and row is not None:
            lines += routine_markdown(row, cites, knowledge)
            break
    else:
        for name in question.ddis:
            ddi = knowledge.ddis.find(name)
            if ddi is not None and ddi.max:
                lines.append(f"**`{ddi.name}` runs at {span(ddi.min or 'PASSIVE_LEVEL', ddi.max)}.**")
                lines += ["", *level_table(ddi, cites)]
                break
    if verdict.outcome != "none":
        lines += ["", decision(question, replace_contradictions(verdict), knowledge, cites)]
    return "\n".join(lines)


def labelled(name: str, value: object, knowledge: Knowledge) -> str:
    """A fact's value as a reader sees it."""
    fact = knowledge.terms.facts.get(name)
    values = value if isinstance(value, (list, tuple)) else [value]
    return " or ".join(fact.labels.get(text_of(one), text_of(one)) if fact is not None else text_of(one) for one in values)


def routine_markdown(row: Row, cites: Cites, knowledge: Knowledge) -> list[str]:
    """What is documented of a routine: its range, on what it depends, its thread."""
    levels = row.more.get("irql") or {}
    title = row.title[0].upper() + row.title[1:]
    lines = [f"**{title} runs at {span(levels.get('lowest', 'PASSIVE_LEVEL'), levels.get('highest', 'HIGH_LEVEL'))}.** {coded(row.note)}{cites.marks(row.citations)}"]
    cases = row.more.get("cases") or ()
    for case in cases:
        when = " and ".join(labelled(name, value, knowledge) for name, value in case["when"].items())
        level = case.get("irql")
        note = " ".join(str(case.get("note") or "").split())
        from kb.terms import Citation

        own = [Citation.read(entry, row.id) for entry in case.get("citations") or ()]
        lines.append(f"- {sentence(when)[:-1]}: {span(level['lowest'], level['highest']) if level else ''}. {coded(note)}{cites.marks(own or row.citations, 2)}".replace(": . ", ": "))
    thread = {"arbitrary": "an arbitrary thread", "requester": "the thread that made the request", "system": "a system thread"}.get(str(row.more.get("thread")))
    if thread:
        lines.append(f"- It runs in {thread}.")
    return lines


def object_storage(question: Question, verdict: Verdict, knowledge: Knowledge, cites: Cites) -> str:
    """Markdown for a question about where an object may live."""
    lines = [decision(question, verdict, knowledge, cites)]
    for judgement in verdict.judgements[:1]:
        if any(step.rule == f"objects/{judgement.facts.get('object')}" for step in verdict.derivation):
            break  # the derivation has told it
        row = knowledge.terms.row("objects", str(judgement.facts.get("object", "")))
        if row is not None:
            title = row.title[0].upper() + row.title[1:]
            lines += ["", f"**{title}.** {coded(row.note)}{cites.marks(row.citations)}"]
    return "\n".join(lines)


def judgement_rows(judgement: Judgement) -> list[str]:
    """The rows a call was judged by, in words."""
    return [row_words(row) for row in judgement.rows]


__all__ = ["LEVELS", "api_irql", "ask_for", "coded", "context", "decision", "object_storage", "sentence"]
