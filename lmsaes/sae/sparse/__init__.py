"""What touches only the features that fire.

rows.py        SparseRows: the currency between SAEs, training, analysis and the server
ops.py         products with them, differentiable          triton_kernels.py   the same on a GPU
active_set.py  the pre-activations that a loss can touch   nested_loss.py      of growing parts
"""
