"""DICOM series as images, and registrations and derived series as DICOM objects.

pydicom reads headers and uncompressed pixels; GDCM, through SimpleITK, only decodes compressed
frames. ITK's own series reader hides what this package must tell: missing slices, uneven
distances, gantry tilt and repeated positions.
"""
