"""Run by torchrun: evaluate, attack a vote and certify on two ranks. Usage: certify_on_two_ranks.py FOLDER."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from certified import attach_attacks, attach_certificates, trainer_of

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = trainer_of(folder)
    attach_attacks(trainer, votes=5)
    attach_certificates(trainer)
    metrics = trainer.evaluate()
    (folder / f"metrics-{os.environ['RANK']}.json").write_text(json.dumps(metrics))
    trainer.accelerator.end_training()
