# syntax=docker/dockerfile:1
# regzoo in a container, for the CPU or, with one build argument, for an NVIDIA GPU:
#   docker build -t regzoo .
#   docker build -t regzoo:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
# The working folder is /data. Files are written as the user who is named:
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" regzoo register fixed.nii.gz moving.nii.gz --out result
#   docker run --rm --gpus all -u "$(id -u):$(id -g)" -v "$PWD:/data" regzoo:cuda register ... --device cuda
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=itk
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/regzoo
ENV PATH=/opt/regzoo/bin:$PATH
WORKDIR /source
# torch first: the layer stays in the cache while only the code of regzoo changes.
COPY constraints.txt ./
RUN pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY zoo zoo
COPY bundles bundles
RUN pip install -c constraints.txt ".[$EXTRAS]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/regzoo /opt/regzoo
# The image may run as any user: caches and the home folder are writable for all.
ENV PATH=/opt/regzoo/bin:$PATH HOME=/home/regzoo MPLCONFIGDIR=/home/regzoo/matplotlib NUMBA_CACHE_DIR=/home/regzoo/numba
RUN mkdir -m 1777 /home/regzoo /data
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["regzoo"]
CMD ["--help"]
