# syntax=docker/dockerfile:1

# One static binary on an empty image: no shell, no package manager, not root.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/gatehouse ./cmd/gatehouse
# The folder of the embedded store and of the admin socket, owned by the user
# that the image runs as.
RUN mkdir -p -m 0700 /out/data && mkdir -p /out/etc && printf 'gatehouse:x:65532:65532::/:\n' > /out/etc/passwd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/etc/passwd /etc/passwd
COPY --from=build /out/gatehouse /gatehouse
COPY --from=build --chown=65532:65532 /out/data /etc/gatehouse/data
COPY --chown=65532:65532 config.yaml /etc/gatehouse/config.yaml
USER 65532:65532
EXPOSE 4180
VOLUME /etc/gatehouse/data
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/gatehouse", "health", "--config", "/etc/gatehouse/config.yaml"]
ENTRYPOINT ["/gatehouse"]
CMD ["serve", "--config", "/etc/gatehouse/config.yaml"]
