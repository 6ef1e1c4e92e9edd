"""A text in, the facts out that hold for the whole of it: arguments, versions, models, and a pool when exactly one is named."""

from __future__ import annotations

from dataclasses import replace

from kb.question.calls import calls_in
from kb.question.codes import argument_facts
from kb.question.objects import place_is_alternative
from kb.question.reading import Reading
from kb.question.records import Fact
from kb.question.words import Mention


def denied_after(reading: Reading, mention: Mention) -> bool:
    """Whether the words after a mention deny it: `KSFILTER_FLAG_DISPATCH_LEVEL_PROCESSING isn't in my descriptor`."""
    after = [token.word for token in reading.tokens[mention.last + 1 : mention.last + 4]]
    return after[:1] in (["isn't"], ["isnt"], ["aren't"]) or after[:2] in (["is", "not"], ["are", "not"], ["was", "not"], ["wa", "not"], ["is", "missing"], ["is", "absent"])


def shared_facts(reading: Reading) -> tuple[dict[str, str], list[Fact]]:
    """Facts that hold for the whole question, by name, and each with the words that state it."""
    shared: dict[str, str] = {}
    facts: list[Fact] = []
    called = {one.first for one in calls_in(reading) if one.table != "spoken"}  # a name such as MmProbeAndLockPages; "wait forever" is a call and states the time-out
    for name in reading.terms.facts:
        if name == "memory.pool":
            continue
        values = [one for one in reading.named_facts(name) if one.first not in called]
        if values and len({one.value for one in values}) == 1:
            shared[name] = values[0].value
            facts.append(Fact(name, values[0].value, None, values[0].words))
    for one in reading.mentions:
        pair = list(reading.terms.facts[one.table].values) if one.kind == "fact" and one.table in reading.terms.facts else []
        if len(pair) == 2 and one.value in pair and shared.get(one.table) == one.value and denied_after(reading, one):
            shared[one.table] = pair[1 - pair.index(one.value)]
            facts = [fact for fact in facts if fact.name != one.table]
            facts.append(Fact(one.table, shared[one.table], None, one.words))
    for one in reading.mentions:
        if one.kind == "fact" and one.negated and one.table in ("memory.locked", "io.paging", "argument.wait") and one.table not in shared:
            opposite = {"true": "false", "false": "true"}.get(one.value)
            if opposite:
                shared[one.table] = opposite
                facts.append(Fact(one.table, opposite, None, "not " + one.words))
    for one in reading.rows("locks", negated=True):
        row = reading.terms.row("locks", one.value)
        if one.negated and row is not None and row.more.get("apcs") in ("normal_disabled", "all_disabled") and not row.more.get("held") and not row.more.get("storage"):
            shared.setdefault("apcs", "enabled")
            facts.append(Fact("apcs", "enabled", None, "not " + one.words))
    for one in calls_in(reading):
        ddi = reading.ddi_table.find(one.value)
        if ddi is not None and "argument.wait" not in shared and any("argument.wait" in row.when for row in ddi.rows):
            at = next((place for place in range(one.last + 1, len(reading.tokens)) if reading.tokens[place].text in ("TRUE", "FALSE")), -1)
            literal = reading.tokens[at].text if at >= 0 else ""
            if literal and {token.word for token in reading.tokens[max(0, at - 2) : at]} & {"not", "isn't"}:
                literal = "FALSE" if literal == "TRUE" else "TRUE"
            if literal:
                shared["argument.wait"] = literal.lower()
                facts.append(Fact("argument.wait", literal.lower(), None, reading.tokens[at].text))
            break
    for name, (value, written) in argument_facts(reading.text, reading.terms).items():
        shared[name] = value
        facts.append(Fact(name, value, None, written))
    if "wait.mode" in shared and "mapping" not in shared and takes(reading, "mapping") and not takes(reading, "wait.mode"):
        shared["mapping"] = shared.pop("wait.mode")  # KernelMode and UserMode name the access mode of a mapping too
        facts = [replace(fact, name="mapping") if fact.name == "wait.mode" else fact for fact in facts]
    pools = {one.value for one in reading.pool_mentions()}
    if len(pools) == 1:
        shared["memory.pool"] = pools.pop()
        facts.append(Fact("memory.pool", shared["memory.pool"], None, reading.pool_mentions()[0].words))
        pooled = any("pool" in one.words.lower() for one in reading.pool_mentions())
        if pooled and shared.get("memory.place") in ("device_extension", "global") and not place_is_alternative(reading):
            del shared["memory.place"]  # "a buffer out of paged pool (header in the device extension)": a block of a pool lies nowhere else
            facts = [fact for fact in facts if fact.name != "memory.place"]
    return shared, facts


def takes(reading: Reading, fact: str) -> bool:
    """Whether the level of a routine called in the text depends on a fact."""
    rows = [row for one in calls_in(reading) if (ddi := reading.ddi_table.find(one.value)) is not None for row in ddi.rows]
    return any(fact in row.when for row in rows)
