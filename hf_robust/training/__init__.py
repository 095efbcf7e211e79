"""What all trainers share: losses and logs, evaluation, views, parts beside the model, the card, the arguments."""
