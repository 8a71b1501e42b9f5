# The production image: CUDA runtime, Python 3.11, the package with pinned versions, and vLLM in an environment of its
# own. Build: docker build -t auditor .   Check: docker run --gpus all auditor --profile hub doctor
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-runtime-rockylinux9

FROM ${CUDA_IMAGE} AS python
# gcc and the Python headers: Triton compiles a small launcher the first time a kernel runs.
RUN dnf install -y --setopt=install_weak_deps=False \
        python3.11 python3.11-pip python3.11-devel gcc \
    && dnf clean all
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

# vLLM pins its own torch and transformers, so it never shares an environment with the package.
FROM python AS vllm
ARG VLLM_VERSION=0.33.0
RUN python3.11 -m venv /opt/vllm \
    && /opt/vllm/bin/pip install "vllm==${VLLM_VERSION}"

FROM python AS package
WORKDIR /src
RUN python3.11 -m venv /opt/auditor
# Dependencies first: a change of our own code then reuses this layer.
COPY pyproject.toml constraints.txt ./
RUN /opt/auditor/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && /opt/auditor/bin/pip install --constraint constraints.txt --requirement /tmp/requirements.txt
COPY . .
RUN /opt/auditor/bin/pip install --constraint constraints.txt .

FROM python AS final
RUN useradd --create-home --uid 10001 auditor \
    && install -d -o auditor -g auditor /work /cache
COPY --from=vllm /opt/vllm /opt/vllm
COPY --from=package /opt/auditor /opt/auditor
COPY --chown=auditor:auditor jobs /opt/jobs
COPY --chown=auditor:auditor slurm /opt/slurm
ENV PATH=/opt/auditor/bin:$PATH \
    HF_HOME=/cache/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    TOKENIZERS_PARALLELISM=false \
    VLLM_NO_USAGE_STATS=1
# No AUDITOR_* variable here: it would beat the auditor.toml of the run. The work folder is .auditor in the current one.
# GPU tasks read what was fetched before: start them with HF_HUB_OFFLINE=1 (slurm/audit.sbatch does).
USER auditor
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["auditor"]
CMD ["--help"]
