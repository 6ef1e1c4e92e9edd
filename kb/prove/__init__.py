"""
What the tests cannot show by example: every profile of a question is judged, and every entry of the knowledge is mutated.

`profiles` reduces all one-use questions to distinct profiles, `properties` says what must hold on each, `several` does the same for
questions of several uses, `claims` says what each figure of a table needs of its citations, `mutants` breaks rules and tables and
looks who notices. `python -m kb.prove` runs all of it; docs/proof.md says what that proves.
"""
