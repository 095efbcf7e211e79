"""Run by torchrun: evaluate and attack on two ranks. Usage: attack_on_two_ranks.py FOLDER."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from test_attack_callback import attacked

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = attacked(folder)
    metrics = trainer.evaluate()
    (folder / f"metrics-{os.environ['RANK']}.json").write_text(json.dumps(metrics))
    trainer.accelerator.end_training()
