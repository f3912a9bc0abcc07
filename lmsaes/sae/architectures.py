"""Which class an architecture's name means."""

from lmsaes.sae.autoencoder import SAE
from lmsaes.sae.batchtopk import BatchTopK
from lmsaes.sae.gated import Gated
from lmsaes.sae.hierarchical_topk import HierarchicalTopK
from lmsaes.sae.jumprelu import JumpReLU
from lmsaes.sae.matryoshka import Matryoshka
from lmsaes.sae.p_annealing import PAnnealing
from lmsaes.sae.relu import ReLU
from lmsaes.sae.topk import TopK

ARCHITECTURES: dict[str, type[SAE]] = {
    "topk": TopK,
    "batchtopk": BatchTopK,
    "matryoshka": Matryoshka,
    "hierarchical": HierarchicalTopK,
    "jumprelu": JumpReLU,
    "relu": ReLU,
    "gated": Gated,
    "p_annealing": PAnnealing,
}
