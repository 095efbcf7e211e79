"""Other texts of an example for training, and the data set that carries them."""

from hf_robust.views.antonym import OneAntonym
from hf_robust.views.dataset import RefreshViews, ViewedDataset
from hf_robust.views.draw import DrawnViews, draw_views
from hf_robust.views.synonym import RandomSynonyms
from hf_robust.views.view import View, ViewSource

__all__ = [
    "DrawnViews",
    "OneAntonym",
    "RandomSynonyms",
    "RefreshViews",
    "View",
    "ViewSource",
    "ViewedDataset",
    "draw_views",
]
