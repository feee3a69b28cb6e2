module github.com/sut-bench/helmexec/bench

go 1.26.0

require (
	github.com/goccy/go-yaml v1.19.2
	github.com/sut-bench/helmexec v0.0.0
	go.yaml.in/yaml/v4 v4.0.0
)

require (
	github.com/Masterminds/semver/v3 v3.5.0 // indirect
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/gofrs/flock v0.13.2 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	oras.land/oras-go/v2 v2.7.0 // indirect
)

require (
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/sut-bench/helmexec/e2e v0.0.0
	go.yaml.in/yaml/v2 v2.4.5 // indirect
	go.yaml.in/yaml/v3 v3.0.6
	sigs.k8s.io/yaml v1.6.0
)

replace github.com/sut-bench/helmexec => ../

replace github.com/sut-bench/helmexec/e2e => ../e2e
