# syntax=docker/dockerfile:1.7

# holdfast: one static program for every role.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/holdfast ./cmd/holdfast

FROM alpine:3.22
RUN apk add --no-cache ca-certificates tzdata && adduser -D -H -u 10001 holdfast
COPY --from=build /out/holdfast /usr/local/bin/holdfast
USER holdfast
ENTRYPOINT ["holdfast"]
CMD ["help"]
