"""Pages to look at, each one file without outside files: of a version, of a sweep, of several versions side by side.

page.py       the page of a version: what its parts give to the template report.html.j2
version.py    what the parts read: spec, metrics, artifacts
asked.py, tiles.py, front.py, layers.py, ...   a part each
compare.py, sweep.py                           the other two pages
figures.py, labels.py, tables.py               how figures, points and tables look
page.css, page.js                              inside every page
"""
