# dwell in a small image that runs as nobody. Build: docker build -t dwell .
# Replay: docker run --rm -v "$PWD:/captures:ro" dwell replay /captures/FILE.pcap
# Live:   docker run --rm --network host --cap-drop ALL --cap-add NET_RAW dwell run -i eth1
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libcap2-bin libpcap-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package dwell \
    && setcap cap_net_raw=ep target/release/dwell

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpcap0.8 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 -m 0750 /var/lib/dwell /var/log/dwell
# Copied with its file capability: capturing needs no root.
COPY --from=build /src/target/release/dwell /usr/local/bin/dwell
COPY --from=build /src/LICENSE-APACHE /src/LICENSE-MIT /usr/share/doc/dwell/
USER 65532:65532
EXPOSE 10146
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/local/bin/dwell", "health"]
ENTRYPOINT ["/usr/local/bin/dwell"]
CMD ["--help"]
