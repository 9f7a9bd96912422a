"""Reports of registrations: slices, panels, HTML pages."""
