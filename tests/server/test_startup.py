"""What a server loads before anybody asks it for anything."""

import subprocess
import sys


def test_a_server_starts_without_torch():
    code = (
        "import sys\n"
        "from lmsaes.server.app import create_app\n"
        "create_app(model='none')\n"
        "heavy = {'torch', 'transformers', 'transformer_lens', 'datasets', 'openai'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
