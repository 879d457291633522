"""`workers: N`: processes that share the work, who starts them, and who speaks for all of them.

A door, like `api` and `cli`: nothing below it imports it, and a single process (`workers: 1`) imports none of it but,
in commands, `folders`.
"""
