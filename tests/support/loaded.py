"""What takes seconds to import, for the process that tests/support/commands.py forks.

Nothing here begins a thread: a child has none of its parent's.
"""

import transformer_lens.model_bridge  # noqa: F401
import transformers.models.gpt2.modeling_gpt2  # noqa: F401

import lmsaes.analysis.run
import lmsaes.capture.run
import lmsaes.cli.app
import lmsaes.database
import lmsaes.demo
import lmsaes.training.run  # noqa: F401
import tests.conftest  # noqa: F401  its environment: no hub, few threads
