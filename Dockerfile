# dwell in a small image that runs as nobody. Build: docker build -t dwell .
# Replay: docker run --rm -v "$PWD:/captures:ro" dwell replay /captures/FILE.pcap
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libpcap-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package dwell

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpcap0.8 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/dwell /usr/local/bin/dwell
COPY --from=build /src/LICENSE-APACHE /src/LICENSE-MIT /usr/share/doc/dwell/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dwell"]
CMD ["--help"]
