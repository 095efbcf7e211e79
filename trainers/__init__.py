"""The training methods, one file each; METHODS names them in reading order and imports one when it is used."""

from __future__ import annotations

from typing import Any

from hf_robust.training.methods import Methods

METHODS = Methods(
    {
        "normal": "NormalTrainer",
        "safer": "SAFERTrainer",
        "ibp": "IBPTrainer",
        "bat_pairwise": "BatPairwiseTrainer",
        "bat_triplet": "BatTripletTrainer",
        "a2t": "A2TTrainer",
        "ada": "ADATrainer",
        "adv_iter": "AdvIterTrainer",
        "amda": "AMDATrainer",
        "semrode": "SemRoDeTrainer",
        "gradient_mask": "GradientMaskTrainer",
        "ranmask": "RanMASKTrainer",
        "taichi": "TaiChiTrainer",
        "flat": "FLATTrainer",
        "adpmixup": "AdpMixupTrainer",
        "fgm": "FGMTrainer",
        "fgsm": "FGSMTrainer",
        "pgd": "PGDTrainer",
        "freelb": "FreeLBTrainer",
        "freelb_pp": "FreeLBPPTrainer",
        "tavat": "TAVATTrainer",
        "smart": "SMARTTrainer",
        "trades": "TRADESTrainer",
        "infobert": "InfoBERTTrainer",
        "adaptive_pgd": "AdaptivePGDTrainer",
        "adaptive_freelb": "AdaptiveFreeLBTrainer",
        "adaptive_tavat": "AdaptiveTAVATTrainer",
        "ascc": "ASCCTrainer",
        "dne": "DNETrainer",
        "flooding": "FloodingTrainer",
        "flooding_x": "FloodingXTrainer",
        "ttso": "TTSOTrainer",
        "r_drop": "RDropTrainer",
    }
)
"""Name of each method, which is also its file, and its class."""


def __getattr__(name: str) -> Any:
    if name == "RobustTrainer":
        from hf_robust.training.base import RobustTrainer

        return RobustTrainer
    return METHODS.public(name)
