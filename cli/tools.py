"""`lmsaes tools`: a cache as an object of its own."""

from lmsaes.cli.group import Command, lazy_app

tools = lazy_app(
    {
        "inspect": Command(
            "lmsaes.cli.tools_inspect:inspect_cache",
            "Say what a cache is: model, text, sizes, and each hook's statistics.",
        ),
        "verify": Command(
            "lmsaes.cli.tools_verify:verify",
            "Check a cache against its manifest, or its model; exit code 1 on any fault.",
        ),
        "sample": Command(
            "lmsaes.cli.tools_inspect:sample",
            "Print contexts, token by token, with the norm of each hook's activation.",
        ),
        "rm": Command(
            "lmsaes.cli.tools_inspect:remove",
            "Delete a cache; a folder that holds none is refused.",
        ),
        "convert": Command(
            "lmsaes.cli.tools_copy:convert",
            "Write a cache in another format, dtype, compression or size of shards.",
        ),
        "slice": Command(
            "lmsaes.cli.tools_copy:cut_out",
            "Write some hooks, or a range of contexts, of a cache as a cache of their own.",
        ),
        "merge": Command(
            "lmsaes.cli.tools_copy:merge",
            "Write several caches of one model, the same hooks and packing as one cache.",
        ),
        "shuffle": Command(
            "lmsaes.cli.tools_copy:shuffle",
            "Write a fully shuffled copy of a cache's rows as plain safetensors, for other "
            "trainers.",
        ),
        "bench": Command(
            "lmsaes.cli.tools_bench:bench",
            "Measure how fast a cache is read here, in order and shuffled, and which SAEs that "
            "feeds.",
        ),
    },
    help="Inspect, check, convert or delete an activation cache.",
)
