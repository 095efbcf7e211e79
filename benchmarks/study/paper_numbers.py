"""The papers' own numbers on the data sets of the experiments; rates are in percent."""

from __future__ import annotations

TAICHI_ATTACKS = ("deepwordbug", "pwws", "textfooler", "textbugger")

TAICHI_5 = {
    "sst2": {
        "normal": (92.6, 21.1, 16.0, 7.1, 37.3),
        "pgd": (92.5, 22.8, 22.5, 10.6, 39.9),
        "fgsm": (90.9, 26.5, 21.9, 12.5, 36.9),
        "freelb": (91.7, 21.7, 19.0, 8.3, 35.1),
        "smart": (92.6, 25.3, 20.2, 12.8, 38.8),
        "ada": (90.8, 22.5, 28.9, 17.3, 38.1),
        "taichi": (91.7, 34.1, 34.8, 20.3, 51.0),
    },
    "trec": {
        "normal": (94.6, 42.6, 53.4, 42.2, 64.8),
        "pgd": (95.4, 51.0, 59.0, 46.4, 66.6),
        "fgsm": (94.8, 48.4, 53.2, 40.0, 62.4),
        "freelb": (95.0, 52.4, 54.0, 40.0, 62.8),
        "smart": (94.8, 48.6, 53.0, 40.8, 62.8),
        "ada": (91.9, 54.6, 64.0, 40.4, 72.4),
        "taichi": (93.9, 61.0, 68.0, 51.8, 75.2),
    },
}
"""TaiChi, Table 5, BERT-base: clean accuracy, then robust accuracy under each of `TAICHI_ATTACKS`."""

TAICHI_4 = {"normal": 92.6, "base_adv": 76.7, "base_adv_soft": 88.9}
"""TaiChi, Table 4, BERT-base on SST-2 with PWWS: clean accuracy."""

TAICHI_7 = {
    "normal": (0.283, 0.594, 1.37, 4.23, 6.885, 92.6, 7.1),
    "taichi_no_kl": (0.064, 0.756, 0.52, 4.78, 6.083, 92.9, 12.4),
    "taichi_no_ctr": (0.097, 0.471, 0.22, 4.09, 6.521, 92.4, 14.6),
    "taichi_no_adv": (0.030, 0.585, 0.18, 2.11, 6.055, 90.4, 19.8),
    "taichi": (0.030, 0.628, 0.12, 2.37, 6.031, 91.6, 20.3),
}
"""TaiChi, Table 7, BERT-base on SST-2: MSE(pos), MSE(neg), KL(pos), KL(neg), CTR, clean and TextFooler accuracy."""

FLAT_3 = {
    ("bert", "sst2"): {
        "normal": (4.72, 0.35, 0.56, 91.32),
        "adv_iter": (5.60, 0.33, 0.56, 91.38),
        "flat": (12.41, 0.44, 0.64, 91.54),
    },
    ("bert", "trec"): {
        "normal": (37.60, 0.44, 0.87, 97.40),
        "adv_iter": (40.00, 0.52, 0.89, 96.00),
        "flat": (55.00, 0.58, 0.90, 96.20),
    },
    ("lstm", "sst2"): {
        "normal": (5.05, 0.46, 0.68, 84.40),
        "adv_iter": (12.36, 0.49, 0.68, 82.32),
        "flat": (17.76, 0.58, 0.75, 84.79),
    },
    ("cnn", "sst2"): {
        "normal": (1.98, 0.46, 0.69, 84.18),
        "adv_iter": (2.53, 0.52, 0.72, 82.15),
        "flat": (37.07, 0.70, 0.82, 83.09),
    },
}
"""FLAT, Table 3, TextFooler: after-attack accuracy, Kendall's tau, top-5 intersection, clean accuracy."""

FLAT_4 = {
    ("bert", "pwws"): {"normal": 11.70, "adv_iter": 13.01, "flat": 15.93},
    ("lstm", "pwws"): {"normal": 11.64, "adv_iter": 15.38, "flat": 20.48},
}
"""FLAT, Table 4, SST-2, trained on TextFooler: after-attack accuracy under another attack."""

FLAT_5 = {"flat": 17.76, "flat_gamma0": 9.99, "flat_beta0": 8.18}
"""FLAT, Table 5, LSTM on SST-2: after-attack accuracy."""

GRADMASK_SLICES = {"negation": (63.3, 3.4), "ambiguity": (75.5, 16.3), "long": (57.1, 26.5)}
"""GradMask, Figure 2: fixed and introduced errors as shares of the errors of either model."""

BAT = {
    "snli": {
        "normal": {"accuracy": 90.82, "antonym": 69.90, "synonym": 27.46},
        "safer": {"accuracy": 90.00, "antonym": 72.10, "synonym": 4.21},
        "bat_pairwise": {"accuracy": 90.58, "antonym": 54.01, "synonym": 15.10},
        "bat_triplet": {"accuracy": 90.67, "antonym": 44.19, "synonym": 15.49},
    },
    "qqp": {
        "normal": {"accuracy": 90.78, "antonym": 44.94, "synonym": 21.16},
        "safer": {"accuracy": 90.85, "antonym": 50.10, "synonym": 4.83},
        "bat_pairwise": {"accuracy": 90.31, "antonym": 22.46, "synonym": 16.00},
        "bat_triplet": {"accuracy": 90.82, "antonym": 16.24, "synonym": 15.73},
    },
    "mrpc": {
        "normal": {"accuracy": 85.37, "antonym": 67.79, "synonym": 8.23},
        "safer": {"accuracy": 85.62, "antonym": 77.19, "synonym": 3.24},
        "bat_pairwise": {"accuracy": 85.54, "antonym": 44.34, "synonym": 6.02},
        "bat_triplet": {"accuracy": 85.13, "antonym": 45.22, "synonym": 6.62},
    },
}
"""BAT, Tables 2, 5 and 6, BERT-base: clean accuracy and the success rates of both attacks."""

BAT_1 = {"normal": {"antonym": 57.5, "synonym": 36.6}, "a2t": {"antonym": 56.5, "synonym": 21.7}}
"""BAT, Table 1, BERT-base on MNLI-m: success rates of both attacks."""

BAT_4 = {
    "batch8": {"accuracy": 84.5, "antonym": 34.6, "synonym": 25.7},
    "batch32": {"accuracy": 84.7, "antonym": 32.2, "synonym": 25.8},
}
"""BAT, Table 4, BERT-base on MNLI: bat_triplet at two batch sizes."""
