"""Robust fine-tuning of text classifiers with the Hugging Face ``Trainer``.

>>> from hf_robust.trainers import METHODS
>>> from hf_robust.attacks import ATTACKS
"""

__version__ = "0.1.0"
