# The rollcall binary, alone on a small base. Build: docker build -t rollcall .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package rollcall

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/rollcall --create-home rollcall \
    && install -d -o rollcall -g rollcall -m 0700 /run/rollcall
COPY --from=build /src/target/release/rollcall /usr/local/bin/rollcall
USER rollcall
ENV ROLLCALL_DATA_DIR=/var/lib/rollcall
VOLUME /var/lib/rollcall
EXPOSE 8080 8081
ENTRYPOINT ["/usr/local/bin/rollcall"]
CMD ["serve", "--http", "0.0.0.0:8080", "--grpc", "0.0.0.0:8081"]
