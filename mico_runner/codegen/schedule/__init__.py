"""Schedules of least memory: layer by layer, row by row, in strips, in patches, several operations at a time.

`network` says what is scheduled, `rows` how operations run together row by row, `forms` what each way takes of the arena, `path` finds
the least. See docs/reference/codegen.md.
"""
