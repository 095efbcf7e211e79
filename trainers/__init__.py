"""One file for each method; METHODS names them in reading order."""

from __future__ import annotations

from hf_robust.trainers.a2t import A2tTrainer
from hf_robust.trainers.ada import AdaTrainer
from hf_robust.trainers.adaptive_freelb import AdaptiveFreelbTrainer
from hf_robust.trainers.adaptive_pgd import AdaptivePgdTrainer
from hf_robust.trainers.adaptive_tavat import AdaptiveTavatTrainer
from hf_robust.trainers.adpmixup import AdpmixupTrainer
from hf_robust.trainers.adv_iter import AdvIterTrainer
from hf_robust.trainers.amda import AmdaTrainer
from hf_robust.trainers.ascc import AsccTrainer
from hf_robust.trainers.bat_pairwise import BatPairwiseTrainer
from hf_robust.trainers.bat_triplet import BatTripletTrainer
from hf_robust.trainers.dne import DneTrainer
from hf_robust.trainers.fgm import FgmTrainer
from hf_robust.trainers.fgsm import FgsmTrainer
from hf_robust.trainers.flat import FlatTrainer
from hf_robust.trainers.flooding import FloodingTrainer
from hf_robust.trainers.flooding_x import FloodingXTrainer
from hf_robust.trainers.freelb import FreelbTrainer
from hf_robust.trainers.freelb_pp import FreelbPpTrainer
from hf_robust.trainers.gradient_mask import GradientMaskTrainer
from hf_robust.trainers.infobert import InfobertTrainer
from hf_robust.trainers.normal import NormalTrainer
from hf_robust.trainers.pgd import PgdTrainer
from hf_robust.trainers.safer import SaferTrainer
from hf_robust.trainers.semrode import SemrodeTrainer
from hf_robust.trainers.smart import SmartTrainer
from hf_robust.trainers.taichi import TaichiTrainer
from hf_robust.trainers.tavat import TavatTrainer
from hf_robust.trainers.trades import TradesTrainer
from hf_robust.training.base import RobustTrainer

METHODS: dict[str, type[RobustTrainer]] = {
    "normal": NormalTrainer,
    "safer": SaferTrainer,
    "bat_pairwise": BatPairwiseTrainer,
    "bat_triplet": BatTripletTrainer,
    "a2t": A2tTrainer,
    "ada": AdaTrainer,
    "adv_iter": AdvIterTrainer,
    "amda": AmdaTrainer,
    "semrode": SemrodeTrainer,
    "gradient_mask": GradientMaskTrainer,
    "taichi": TaichiTrainer,
    "flat": FlatTrainer,
    "adpmixup": AdpmixupTrainer,
    "fgm": FgmTrainer,
    "fgsm": FgsmTrainer,
    "pgd": PgdTrainer,
    "freelb": FreelbTrainer,
    "freelb_pp": FreelbPpTrainer,
    "tavat": TavatTrainer,
    "smart": SmartTrainer,
    "trades": TradesTrainer,
    "infobert": InfobertTrainer,
    "flooding": FloodingTrainer,
    "flooding_x": FloodingXTrainer,
    "ascc": AsccTrainer,
    "dne": DneTrainer,
    "adaptive_pgd": AdaptivePgdTrainer,
    "adaptive_freelb": AdaptiveFreelbTrainer,
    "adaptive_tavat": AdaptiveTavatTrainer,
}

__all__ = ["METHODS", "RobustTrainer"]
