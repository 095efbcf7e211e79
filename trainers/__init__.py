"""One file for each method; METHODS names them in reading order."""

from __future__ import annotations

from hf_robust.trainers.base import RobustTrainer
from hf_robust.trainers.bat_pairwise import BatPairwiseTrainer
from hf_robust.trainers.bat_triplet import BatTripletTrainer
from hf_robust.trainers.normal import NormalTrainer
from hf_robust.trainers.safer import SaferTrainer

METHODS: dict[str, type[RobustTrainer]] = {
    "normal": NormalTrainer,
    "safer": SaferTrainer,
    "bat_pairwise": BatPairwiseTrainer,
    "bat_triplet": BatTripletTrainer,
}

__all__ = ["METHODS", "RobustTrainer"]
