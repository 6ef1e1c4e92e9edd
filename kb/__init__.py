"""
How the project reasons.

The flow, one stage a module: `terms` (the words), `ddis` and `rulebook` (what is known), `question` (text to facts), `engine`
(facts to a verdict with its derivation), `index` and `retriever` (passages), `answer` (Markdown with citations), `chain` (all of it).
"""
