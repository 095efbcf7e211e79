"""One file for each method; METHODS names them by family and imports one when it is asked for."""

from __future__ import annotations

from typing import Any

from hf_robust.training.methods import Methods

METHODS = Methods(
    # the baseline
    normal="NormalTrainer",
    # random substitutions of words
    safer="SaferTrainer",
    bat_pairwise="BatPairwiseTrainer",
    bat_triplet="BatTripletTrainer",
    # texts that an attack found
    a2t="A2tTrainer",
    ada="AdaTrainer",
    adv_iter="AdvIterTrainer",
    amda="AmdaTrainer",
    semrode="SemrodeTrainer",
    gradient_mask="GradientMaskTrainer",
    taichi="TaichiTrainer",
    flat="FlatTrainer",
    adpmixup="AdpmixupTrainer",
    # perturbed word embeddings
    fgm="FgmTrainer",
    fgsm="FgsmTrainer",
    pgd="PgdTrainer",
    freelb="FreelbTrainer",
    freelb_pp="FreelbPpTrainer",
    tavat="TavatTrainer",
    smart="SmartTrainer",
    trades="TradesTrainer",
    infobert="InfobertTrainer",
    # a floor for the loss
    flooding="FloodingTrainer",
    flooding_x="FloodingXTrainer",
    # mixtures of neighbouring words
    ascc="AsccTrainer",
    dne="DneTrainer",
    # learnt weights over the steps of a perturbation
    adaptive_pgd="AdaptivePgdTrainer",
    adaptive_freelb="AdaptiveFreelbTrainer",
    adaptive_tavat="AdaptiveTavatTrainer",
)


def __getattr__(name: str) -> Any:
    if name == "RobustTrainer":
        from hf_robust.training.base import RobustTrainer

        return RobustTrainer
    return METHODS.public(name)
