"""
The DDI reference in, `kb/knowledge/ddis.csv` out: the IRQL of every documented routine with its conditions.

`pages` reads the corpus, `levels` the spellings of `req.irql`, `remarks` the sentences, `conditions` the clauses, `names` what a
routine is called, `table` puts the rows together, `report` tells what was and was not understood. Nothing is guessed: what is not
understood gives no row and is listed.
"""

from ingest.ddis.pages import Page, read_corpus, read_page
from ingest.ddis.table import Entry, Summary, annotations_in, build, to_csv, write_table

__all__ = ["Entry", "Page", "Summary", "annotations_in", "build", "read_corpus", "read_page", "to_csv", "write_table"]
