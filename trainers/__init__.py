"""One file for each method; METHODS names them by family and imports one when it is asked for."""

from __future__ import annotations

from typing import Any

from hf_robust.training.methods import Methods

METHODS = Methods(
    {
        "baseline": {
            "normal": "NormalTrainer",
        },
        "substituted words": {
            "safer": "SAFERTrainer",
            "bat_pairwise": "BatPairwiseTrainer",
            "bat_triplet": "BatTripletTrainer",
        },
        "attacked or masked texts": {
            "a2t": "A2TTrainer",
            "ada": "ADATrainer",
            "adv_iter": "AdvIterTrainer",
            "amda": "AMDATrainer",
            "semrode": "SemRoDeTrainer",
            "gradient_mask": "GradientMaskTrainer",
            "taichi": "TaiChiTrainer",
            "flat": "FLATTrainer",
            "adpmixup": "AdpMixupTrainer",
        },
        "perturbed embeddings": {
            "fgm": "FGMTrainer",
            "fgsm": "FGSMTrainer",
            "pgd": "PGDTrainer",
            "freelb": "FreeLBTrainer",
            "freelb_pp": "FreeLBPPTrainer",
            "tavat": "TAVATTrainer",
            "smart": "SMARTTrainer",
            "trades": "TRADESTrainer",
            "infobert": "InfoBERTTrainer",
        },
        "perturbed embeddings, learnt weights": {
            "adaptive_pgd": "AdaptivePGDTrainer",
            "adaptive_freelb": "AdaptiveFreeLBTrainer",
            "adaptive_tavat": "AdaptiveTAVATTrainer",
        },
        "mixtures of neighbouring words": {
            "ascc": "ASCCTrainer",
            "dne": "DNETrainer",
        },
        "level of the loss": {
            "flooding": "FloodingTrainer",
            "flooding_x": "FloodingXTrainer",
        },
    }
)
"""By family, which is what a method changes, its name and its class."""


def __getattr__(name: str) -> Any:
    if name == "RobustTrainer":
        from hf_robust.training.base import RobustTrainer

        return RobustTrainer
    return METHODS.public(name)
