"""`python -m kb.prove`: judge every profile, mutate every rule and figure, print what was proved; 1 on any violation or survivor."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from kb.engine import Knowledge, load_knowledge
from kb.prove.claims import claims
from kb.prove.mutants import claim_faults, example_faults, justified, sort_out, surviving_figures, surviving_rules
from kb.prove.pages import Pages, citations_of, load_pages
from kb.prove.profiles import ddi_classes, literal_count, lock_classes, object_classes, profiles, routine_classes
from kb.prove.properties import MAX_SHOWN, Finding, check_equal, check_places, check_pools, check_profiles

LITERAL = 20_000  # random literal questions that are compared with their profiles
SEVERAL = 1_500  # questions of several uses that hypothesis draws for each property


def say_findings(findings: Sequence[Finding], started: float) -> int:
    """Print findings and say how many violations there are."""
    for finding in findings:
        print(f"  {finding.name}: {finding.points:,} points, {len(finding.violations):,} violations")
        for what, number in finding.notes.items():
            print(f"      {what}: {number:,}")
        for fault in finding.violations[:MAX_SHOWN]:
            print(f"      VIOLATION {fault}")
    print(f"  {time.perf_counter() - started:.0f} seconds")
    return sum(len(finding.violations) for finding in findings)


def prove_profiles(knowledge: Knowledge, sample: int, seed: int) -> int:
    """The exhaustive part; returns the number of violations."""
    started = time.perf_counter()
    reduced = sum(1 for _ in profiles(knowledge))
    classes = [len(routine_classes(knowledge)), len(lock_classes(knowledge)), len(object_classes(knowledge)), len(ddi_classes(knowledge))]
    tables = ("routines", "locks", "objects")
    sizes = [*(len(knowledge.terms.tables[name]) for name in tables), len(knowledge.ddis)]
    print(f"One-use questions: {literal_count(knowledge):.1e} literal points without the routines called, reduced to {reduced:,} profiles of an act and the places below")
    for name, size, count in zip((*tables, "documented routines"), sizes, classes, strict=True):
        print(f"  {size:,} {name} in {count} classes")
    findings = [
        check_equal(knowledge, LITERAL // max(1, sample), seed),
        *check_profiles(knowledge, sample, seed),
        *check_places(knowledge, sample),
        check_pools(knowledge),
    ]
    return say_findings(findings, started)


def prove_several(knowledge: Knowledge, sample: int, seed: int) -> int:
    """Questions of several uses; returns the number of violations."""
    started = time.perf_counter()
    print("Questions of several uses, drawn")
    try:
        from kb.prove.several import check_several
    except ModuleNotFoundError:
        print("  SKIPPED: hypothesis is not installed; install requirements-dev.txt")
        return 0
    return say_findings(check_several(knowledge, max(50, SEVERAL // max(1, sample)), seed), started)


def prove_mutants(knowledge: Knowledge, pages: Pages | None, sample: int) -> int:
    """Rules and figures broken on purpose; returns the number of faults and survivors that nothing justifies."""
    started = time.perf_counter()
    failing = list(example_faults(knowledge.rules, knowledge))
    rules, alive = surviving_rules(knowledge, sample)
    figures, doubtful = surviving_figures(knowledge, pages, sample)
    faults = claim_faults(knowledge, pages)
    bad, fine, idle = sort_out([*alive, *doubtful, *faults], justified())
    carried = sum(1 for _ in claims(knowledge, pages))
    print(f"Mutants: {rules:,} of {len(knowledge.rules)} rules, {figures:,} of {carried:,} figures of the tables")
    for mutant, reason in fine:
        print(f"  justified: {mutant.key}: {reason}")
    for question in failing:
        print(f"  EXAMPLE FAILS {question}")
    for mutant in bad:
        print(f"  SURVIVES {mutant.key}")
    if sample <= 1 and pages is not None:
        for pattern in idle:
            print(f"  JUSTIFIED IN VAIN {pattern}: nothing like it survives; remove it from kb/prove/justified.yaml")
    else:
        idle = []
    print(f"  {len(bad)} survivors, {len(fine)} justified, {time.perf_counter() - started:.0f} seconds")
    return len(bad) + len(failing) + len(idle)


def prove_citations(knowledge: Knowledge, pages: Pages | None) -> int:
    """The terms of every citation on its page; returns the number of faults."""
    started = time.perf_counter()
    cited = citations_of(knowledge)
    outside = sum(citation.outside for _, citation in cited)
    if pages is None:
        print(
            f"Citations: SKIPPED: no corpus at ../shared/corpus; {len(cited):,} citations, of which {outside} name public sources outside it, and what only pages carry is unproved here"
        )
        return 0
    faults = [f"{where}: {fault}" for where, citation in cited if citation.page and (fault := pages.fault(citation))]
    print(f"Citations: {len(cited):,}, terms on their pages; {outside} name public sources outside the corpus; {len(faults)} faults, {time.perf_counter() - started:.0f} seconds")
    for fault in faults:
        print(f"  FAULT {fault}")
    return len(faults)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run all proofs.

    Args:
        arguments: The command line, None for the program's own.

    Returns:
        0 when everything holds, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m kb.prove", description="Prove the rule book: every profile judged, every rule and figure mutated.")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="check every N-th profile, place and mutant only (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="for the orders and the drawn questions (default: 1)")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    knowledge = load_knowledge()
    pages = load_pages(knowledge)
    parts: list[Callable[[], int]] = [
        lambda: prove_profiles(knowledge, options.sample, options.seed),
        lambda: prove_several(knowledge, options.sample, options.seed),
        lambda: prove_mutants(knowledge, pages, options.sample),
        lambda: prove_citations(knowledge, pages),
    ]
    faults = sum(part() for part in parts)
    print(
        f"{'PROVED' if not faults else f'NOT PROVED: {faults} faults'} in {time.perf_counter() - started:.0f} seconds"
        + (f", a sample of one in {options.sample}" if options.sample > 1 else "")
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
