"""The file formats of ITK: volumes, displacement fields and transforms.

Import from the modules: h5py and nibabel are loaded only with the formats that need them.
"""
