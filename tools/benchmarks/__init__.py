"""Benchmarks for maintainers: one script per question, run from the root of a checkout.

    PYTHONPATH=tools python -m benchmarks.QUESTION --help

| question | what it measures |
|---|---|
| alignment_coverage | whether the initial alignment finds the right place on partial coverage |
| whole_heads | folding of whole heads of which one lacks a part of the neck |
| real_brains | what masks and a mirrored header change between real brains |
| mirrored_headers | whether images tell a header that exchanges left and right |
| peers | accuracy, time and memory of the models and solvers beside other packages |
| choices | planned settings beside one fixed configuration for all pairs |
| memory | peak memory of whole registrations, for the memory model of the planner |
| verdict | whether the verdict on a registration recognises failures without labels |
| planning | reading of headers and volumes, robustness to random inputs, plans of datasets |
| cohorts | throughput and memory of `regzoo run`, and recovery from killed processes |
| cohorts_scale | cost per pair of Dask, digests and records, for many pairs |
| groups | labels by several atlases beside single ones, and templates beside direct pairs |
| fine_tuning | gain of fine-tuning the compact UniReg on little data |
| effort | what `--effort fast` and `best` cost and gain, and how well `best` chooses |
| app | time of `regzoo app` from the choice of a file to its first picture |
| reports | size of the report, and the time to write and to open it |
| uncertainty | how well the uncertainty of a registration ranks voxels by their true error |
| working_grid | how fine the working grid must be along axes in which an image is coarse |
| kernels | what the compiled loops gain over torch |
| bounds | whether memory or arithmetic bounds the compiled loops |
| fluid_refinement | what the refinement of MCBO's field and its settings change |
| two_contrasts | what the fluid refinement gains and harms between two contrasts |
| compact_weights | error that trainings of compact weights leave on unseen pairs |
| compact_pairs | accuracy of compact weights on real pairs, without refinement |
| convexadam_parity | difference between MCBO's preset `convexadam` and convexAdam |
| gradicon | time and memory of the GradICON network beside upstream |
| unireg | time and memory of the UniReg network |
| instance_optimisation | time and memory of instance optimisation beside upstream |
| geometry | time of warping, Jacobian and inversion beside SimpleITK |
| start_up | time of a whole `regzoo register`, with its imports and its report |

`harness` holds what they share. Output folders are named `bench/...` by default, which git ignores.
"""
