"""Views: other texts of a training example, their sources, and the data set that carries them."""

from hf_robust.views.antonym import AttackedAntonym, OneAntonym
from hf_robust.views.attacked import AttackedViews
from hf_robust.views.challenge import MASKS, ChallengeText, challenge_set
from hf_robust.views.dataset import RefreshViews, ViewedDataset, disable_unchanged, encode_view
from hf_robust.views.generated import GeneratedViews, SampledViews, ViewMaker, ViewRound, assign_to_rows
from hf_robust.views.generation_context import GenerationContext
from hf_robust.views.masked import MaskedViews
from hf_robust.views.refresh import Refresh
from hf_robust.views.synonym import DrawnViews, RandomSynonyms, draw_views, each_with_views
from hf_robust.views.view import View, ViewSource
from hf_robust.views.view_file import StoredViews, read_views, tokenizer_hash, write_views

__all__ = [
    "MASKS",
    "AttackedAntonym",
    "AttackedViews",
    "ChallengeText",
    "SampledViews",
    "DrawnViews",
    "StoredViews",
    "GeneratedViews",
    "ViewRound",
    "MaskedViews",
    "OneAntonym",
    "RandomSynonyms",
    "Refresh",
    "RefreshViews",
    "View",
    "ViewMaker",
    "ViewSource",
    "ViewedDataset",
    "GenerationContext",
    "challenge_set",
    "draw_views",
    "each_with_views",
    "encode_view",
    "read_views",
    "assign_to_rows",
    "tokenizer_hash",
    "disable_unchanged",
    "write_views",
]
