"""Processes of a `torchrun`, threads that share the cores, and the device to compute on.

ranks.py    this process among the others      threads.py   threads that share torch's cores
locks.py    one process to a folder            devices.py   auto, cpu, cuda or mps; free memory
interrupts.py  Ctrl-C in long work
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
