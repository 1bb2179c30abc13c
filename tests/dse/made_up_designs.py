"""An archive of designs of small kernels, whose cycles follow from their pragmas."""

import io
import itertools
import json
import tarfile

SOURCE = """
void kernel(double a[{n}], double b[{n}]) {{
#pragma ACCEL PIPELINE auto{{__PIPE__L0}}
#pragma ACCEL TILE FACTOR=auto{{__TILE__L0}}
#pragma ACCEL PARALLEL FACTOR=auto{{__PARA__L0}}
  for (i = 0; i < {n}; i++) {{
    // for (z = 0; z < 9; z++) is no loop
#pragma ACCEL PARALLEL reduction=a FACTOR=auto{{__PARA__L1}}
    for (j = 1; j <= {m}; j++) {{
      a[i] += b[j] * 2;
    }}
  }}
}}
"""
NODE = """<node id="{id}"><attvalues><attvalue for="3" value="{kind}"/><attvalue for="2" value="{text}"/>
<attvalue for="4" value="{full}"/></attvalues></node>"""
TITLES = "".join(f'<attribute id="{i}" title="{t}"/>' for i, t in ((2, "text"), (3, "type"), (4, "full_text")))


def graph():
    """A multiplication beside the pragmas of the outer loop, a load beside that of the inner one."""
    pragmas = (("PIPE", "L0"), ("TILE", "L0"), ("PARA", "L0"), ("PARA", "L1"))
    nodes = [(0, "fmul", ""), (0, "load", "")] + [(3, kind, f"auto{{__{kind}__{at}}}") for kind, at in pragmas]
    listed = "".join(NODE.format(id=i, kind=k, text=t, full=f) for i, (k, t, f) in enumerate(nodes))
    edges = "".join(f'<edge source="{a}" target="{b}"/>' for a, b in ((2, 0), (3, 0), (4, 0), (5, 1), (0, 1)))
    return f'<gexf xmlns="http://x"><graph><attributes>{TITLES}</attributes><nodes>{listed}</nodes><edges>{edges}</edges></graph></gexf>'


def designs(n, m):
    found = {}
    for pipe, tile, outer, inner in itertools.product(("", "off", "flatten"), (1, 2), (1, 2, 4), (1, 2, 3, 8)):
        inner_left = 1 if pipe == "flatten" else -(-m // inner)
        cycles = (n / outer) * inner_left * (1.5 if tile > 1 else 1) * (1.2 if pipe == "off" else 1)
        valid = outer * inner < 32 and not (pipe == "flatten" and outer == 4)
        point = {"__PIPE__L0": pipe, "__TILE__L0": tile, "__PARA__L0": outer, "__PARA__L1": inner}
        found[str(len(found))] = {"point": point, "perf": cycles if valid else 0, "valid": valid}
    return found


def write(path, kernels=(("small", 32, 16), ("large", 128, 64), ("flat", 256, 8)), change=lambda name, text: text):
    with tarfile.open(path, "w:gz") as archive:
        for name, n, m in kernels:
            files = {
                f"data/designs/v1/{name}.json": json.dumps(designs(n, m)),
                f"data/sources/{name}_kernel.c": SOURCE.format(n=n, m=m),
                f"data/graphs/{name}_processed_result.gexf": graph(),
            }
            for place, text in files.items():
                content = change(place, text).encode()
                about = tarfile.TarInfo(place)
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))
    return path
