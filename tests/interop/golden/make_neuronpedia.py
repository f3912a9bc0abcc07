"""Writes what columns Neuronpedia's tables have, from its own schema of the database.

    tests/interop/golden/make_neuronpedia.py CHECKOUT/apps/webapp/prisma/schema.prisma

By table and column: the type, whether it is a list, and whether a line without it is refused, as a
column that has neither a default nor may be null. Columns that are relations are left out.
"""

import json
import re
import sys
from pathlib import Path

TABLES = ("SourceRelease", "Model", "SourceSet", "Source", "Neuron", "Activation")
TYPES = ("String", "Int", "Float", "Boolean", "DateTime", "Json", "Visibility")


def main(schema: str) -> None:
    found = {}
    for table in TABLES:
        block = re.search(rf"^model {table} \{{\n(.*?)^\}}", schema, re.DOTALL | re.MULTILINE)
        assert block is not None
        columns = re.findall(r"^  (\w+)\s+(\w+)(\[\])?(\?)?(.*)$", block[1], re.MULTILINE)
        found[table] = {
            name: {
                "type": kind,
                "list": bool(many),
                "required": not (
                    many
                    or optional
                    or re.search(r"@default\((?!cuid)", rest)
                    or "@updatedAt" in rest
                ),
            }
            for name, kind, many, optional, rest in columns
            if kind in TYPES
        }
    folder = Path(__file__).parent / "neuronpedia"
    folder.mkdir(exist_ok=True)
    (folder / "columns.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text())
