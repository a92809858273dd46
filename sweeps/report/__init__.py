"""The report of a sweep: page, tables, sentences and figures."""
