"""Training: sources, dataset, augmentation, objectives, step, checkpoint, log, export."""
