"""One file for each method; METHODS names them by family and imports one when it is asked for."""

from __future__ import annotations

from typing import Any

from hf_robust.training.methods import Methods

METHODS = Methods(
    # the baseline
    normal="NormalTrainer",
    # random substitutions of words
    safer="SAFERTrainer",
    bat_pairwise="BatPairwiseTrainer",
    bat_triplet="BatTripletTrainer",
    # texts that an attack found
    a2t="A2TTrainer",
    ada="ADATrainer",
    adv_iter="AdvIterTrainer",
    amda="AMDATrainer",
    semrode="SemRoDeTrainer",
    gradient_mask="GradientMaskTrainer",
    taichi="TaiChiTrainer",
    flat="FLATTrainer",
    adpmixup="AdpMixupTrainer",
    # perturbed word embeddings
    fgm="FGMTrainer",
    fgsm="FGSMTrainer",
    pgd="PGDTrainer",
    freelb="FreeLBTrainer",
    freelb_pp="FreeLBPPTrainer",
    tavat="TAVATTrainer",
    smart="SMARTTrainer",
    trades="TRADESTrainer",
    infobert="InfoBERTTrainer",
    # a floor for the loss
    flooding="FloodingTrainer",
    flooding_x="FloodingXTrainer",
    # mixtures of neighbouring words
    ascc="ASCCTrainer",
    dne="DNETrainer",
    # learnt weights over the steps of a perturbation
    adaptive_pgd="AdaptivePGDTrainer",
    adaptive_freelb="AdaptiveFreeLBTrainer",
    adaptive_tavat="AdaptiveTAVATTrainer",
)


def __getattr__(name: str) -> Any:
    if name == "RobustTrainer":
        from hf_robust.training.base import RobustTrainer

        return RobustTrainer
    return METHODS.public(name)
