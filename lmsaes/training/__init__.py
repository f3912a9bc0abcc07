"""Stage two: many SAEs trained on one read of a cache.

config.py ──► run.py ──► sweep.py: ShuffledLoader ──► normalization.py ──► parallel_steps.py
                                                                                └─► trainer.py
run_folder.py, members.py, kept.py, checkpoint.py, metrics_file.py: on the disk         ▲
initialization.py: where an SAE starts                 schedules.py, optimizers.py, resampling.py
divergence.py: what is no longer finite                announcement.py: what is said before
plan.py, memory_plan.py: what it would take        allocator.py: the process
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
