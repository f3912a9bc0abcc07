"""What a wheel puts where."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_all_rooms_inside_lmsaes(tmp_path):
    # a copy, since setuptools builds inside the tree and keeps what an earlier build left there
    source = tmp_path / "source"
    left_out = shutil.ignore_patterns(".*", "node_modules", "build", "dist", "*.egg-info", "tests")
    shutil.copytree(ROOT, source, ignore=left_out)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source],
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lmsaes"}
    for expected in (
        "lmsaes/py.typed",
        "lmsaes/cli/app.py",
        "lmsaes/cache_tools/verify.py",
        "lmsaes/server/app.py",
        "lmsaes/server/static/index.html",
        "lmsaes/demo/model/model.safetensors",
        "lmsaes/demo/model/tokenizer.json",
        "lmsaes/demo/text.jsonl.gz",
        "lmsaes/demo/sweep.toml",
        "lmsaes/demo/README.md",
    ):
        assert expected in names, expected
    folders = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "lmsaes").rglob("*.py")}
    for folder in folders:
        for module in (ROOT / folder).glob("*.py"):
            assert module.relative_to(ROOT).as_posix() in names
