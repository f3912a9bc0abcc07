"""How good an SAE is: the one home of FVU, L0, dead features and CE recovered.

config.py ─► run.py ─┬─► rows.py             which contexts, and whether training saw them
                     ├─► measured_sae.py ─┬─► context_sums.py ─┬─► estimates.py
                     │                    └─► feature_sums.py ─┘   ratios with standard errors
                     ├─► downstream.py       the model with reconstructions in it
                     ├─► probing.py, plot.py, comparison.py
                     └─► records.py          Evaluation
reconstruction.py (running sums) ◄── training, analysis
cache_model.py, fit.py (does a model, an SAE belong to a cache?) ◄── analysis
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
