# Images of the operator and of the emulator:
#   docker build --target operator -t acs-operator:0.1.0 .
#   docker build --target emulator -t acs-emulator:0.1.0 .

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
# The image's own toolchain; without this, rust-toolchain.toml would fetch the tools for linting.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release --package acs-operator --package acs-emulator --bins \
    && mkdir /out && cp target/release/acs-operator target/release/acs-emulator /out/

# glibc, CA certificates and a user without rights; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS runtime
USER 65532:65532

FROM runtime AS emulator
COPY --from=build /out/acs-emulator /acs-emulator
ENTRYPOINT ["/acs-emulator"]

FROM runtime AS operator
COPY --from=build /out/acs-operator /acs-operator
ENTRYPOINT ["/acs-operator"]
CMD ["run"]
