"""What bundle configs name: pairs, preprocessing, inferers, savers, figures, reports."""
