"""Other texts of an example for training, and the data set that carries them."""

from hf_robust.views.antonym import AttackedAntonym, OneAntonym
from hf_robust.views.attacked import AttackedViews
from hf_robust.views.challenge import MASKS, Challenged, challenge_set
from hf_robust.views.dataset import RefreshViews, ViewedDataset, encode_view, without_unread
from hf_robust.views.generated import DrawnFrom, GeneratedViews, Made, ViewMaker, spread
from hf_robust.views.masked import MaskedViews
from hf_robust.views.refresh import Refresh
from hf_robust.views.synonym import DrawnViews, RandomSynonyms, draw_views
from hf_robust.views.view import View, ViewSource
from hf_robust.views.view_file import FromFile, read_views, tokenizer_hash, write_views
from hf_robust.views.workplace import Workplace

__all__ = [
    "MASKS",
    "AttackedAntonym",
    "AttackedViews",
    "Challenged",
    "DrawnFrom",
    "DrawnViews",
    "FromFile",
    "GeneratedViews",
    "Made",
    "MaskedViews",
    "OneAntonym",
    "RandomSynonyms",
    "Refresh",
    "RefreshViews",
    "View",
    "ViewMaker",
    "ViewSource",
    "ViewedDataset",
    "Workplace",
    "challenge_set",
    "draw_views",
    "encode_view",
    "read_views",
    "spread",
    "tokenizer_hash",
    "without_unread",
    "write_views",
]
