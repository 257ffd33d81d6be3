"""What each method costs a token, and what it keeps in memory.

Pre-training and full fine-tuning: 6·N + 12·L·H·Q·T FLOPs a token, as appendix B of PaLM (arXiv:2204.02311) defines
model FLOPs: a forward pass is 2·N + 4·L·H·Q·T, and the backward pass twice that. N: parameters, L: layers, H: heads,
Q: head dimension, T: sequence length. Attention is counted whole, a causal mask not taken off.
LoRA (arXiv:2106.09685): the frozen weights need no gradient of their own, which is 2·N of the backward pass; attention
has no weights and costs the same. Hence 4·N + 12·L·H·Q·T. The adapters' own share is left out: of rank 16 on every
matrix of Llama 3.1 8B they are 0.5% of its parameters.
Inference and evaluation: a forward pass.

Memory with Adam in mixed precision: 16 bytes a parameter (ZeRO, arXiv:1910.02054, section 3.1): weights and gradients
of 2 bytes each, weights, momentum and variance of 4 each. In FP32 (TF32): 4 + 4 + 4 + 4, the same.
"""

from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from quotas.estimator.peaks import BYTES_A_WEIGHT

BYTES_A_TRAINED_PARAMETER = 16


class Method(TextChoices):
    PRETRAIN = "pretrain", _("Pre-training")
    FINETUNE = "finetune", _("Full fine-tuning")
    LORA = "lora", _("LoRA fine-tuning")
    EVALUATION = "evaluation", _("Evaluation")
    INFERENCE = "inference", _("Inference")

    @property
    def trains_all(self) -> bool:
        return self in (Method.PRETRAIN, Method.FINETUNE)

    @property
    def only_reads(self) -> bool:
        return self in (Method.EVALUATION, Method.INFERENCE)


@dataclass(frozen=True, slots=True)
class Factors:
    """FLOPs per token = parameters · N + attention · L·H·Q·T."""

    parameters: int
    attention: int

    def flops_per_token(self, parameters: int, width: int, sequence_length: int) -> int:
        return self.parameters * parameters + self.attention * width * sequence_length


_TRAINING, _FORWARD = Factors(6, 12), Factors(2, 4)
FACTORS = {
    Method.PRETRAIN: _TRAINING,
    Method.FINETUNE: _TRAINING,
    Method.LORA: Factors(4, 12),
    Method.EVALUATION: _FORWARD,
    Method.INFERENCE: _FORWARD,
}


def bytes_a_parameter(method: Method, precision: str) -> int:
    """Of weights, gradients and optimizer, without activations, adapters and the attention's cache."""
    return BYTES_A_TRAINED_PARAMETER if method.trains_all else BYTES_A_WEIGHT[precision]
