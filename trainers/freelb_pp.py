"""freelb_pp: FreeLB without the norm ball and with many more steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_robust.trainers.freelb import FreeLBConfig, FreeLBTrainer


@dataclass
class FreeLBPPConfig(FreeLBConfig):
    """FreeLB's arguments with 30 steps, the number that later papers use."""

    adv_steps: int = field(default=30, metadata={"help": "[k] number of ascent steps."})


class FreeLBPPTrainer(FreeLBTrainer):
    r"""Li et al. 2021, arXiv:2108.12777, Section 4: FreeLB without a radius and with more steps.

    .. math:: \frac1k\sum_{t=0}^{k-1}\mathrm{CE}(f(e+\delta_t),y),\qquad \|\delta_t\|_F \le m + t\,\alpha

    ``e`` and ``delta`` are (B, L, E), m the initial magnitude. The loss is ``freelb``'s; only the default number of
    steps differs. k forwards and k backwards a step.

    Differs from the code in the shared dropout masks, as ``freelb`` does. Most of FreeLB's own scripts for ALBERT have
    no radius either, so that only the number of steps is new. Without a radius the norm of the perturbation is at most
    0.92 with these defaults.
    """

    name = "freelb_pp"
    family = "perturbed embeddings"
    citation = "li2021searching"
    config = FreeLBPPConfig
    presets = ("freelb_pp.json",)
    zero_strength = {"adv_steps": 1, "adv_init_mag": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr"}
