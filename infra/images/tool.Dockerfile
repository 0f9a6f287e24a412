# The tool alone: models on your own pictures, by ONNX Runtime, with the models that come with the package. No torch.
#   docker build -f infra/images/tool.Dockerfile -t fpml .
#   docker run --rm --network none --user "$(id -u)" -v "$PWD:/prints" fpml verify a.png b.png
FROM docker.io/library/python:3.11.13-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY fpml fpml
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM docker.io/library/python:3.11.13-slim-bookworm
COPY constraints.txt /tmp/
COPY --from=build /dist /tmp/dist
RUN python -m pip install --no-cache-dir /tmp/dist/*.whl -c /tmp/constraints.txt && rm -r /tmp/dist \
 && useradd --uid 1000 fpml && mkdir /prints && chown fpml /prints
USER fpml
WORKDIR /prints
ENTRYPOINT ["fpml"]
CMD ["--help"]
