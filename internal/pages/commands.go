package pages

// Group is commands that are run one after the other in one folder.
type Group struct {
	In       Folder
	Commands []string
}

// Folder says what a group of commands finds.
type Folder int

const (
	// Source is the top folder of the source.
	Source Folder = iota
	// Inside is the same with a program of a reader in it, mine.
	Inside
	// Beside is a module of a reader, mine, beside this source, helmexec.
	Beside
)

// Unit are the commands that the tests of this package run.
var Unit = []Group{
	{Source, []string{"make help"}},
	{Source, []string{"go build -o bin/ ./examples/jobrunner"}},
	{Source, []string{"cd bench && go run ./cmd/corpus -rounds 15 folder"}},
}

// Cluster are the commands that the tests of e2e/pages run, since they start a cluster or a real helm.
var Cluster = []Group{
	{Source, []string{"make demo"}},
	{Source, []string{"make cluster"}},
	{Source, []string{"go run ./internal/tools/cmd/tools -path helm4"}},
	{Source, []string{
		"go build -o bin/ ./examples/jobrunner",
		`bin/cluster -- bin/jobrunner -helm "$(go run ./internal/tools/cmd/tools -path helm4)" -node nvidia.com/gpu=8 ./testdata/charts/webapp`,
	}},
	{Source, []string{
		"go build -o bin/ ./cmd/helmexec",
		"bin/helmexec doctor --offline",
		"bin/helmexec check ./testdata/charts/webapp --offline --registry docker.io --registry quay.io",
		"bin/helmexec plan job-42-sut-webapp ./testdata/charts/webapp --offline -o html > bin/review.html",
		"bin/helmexec install job-42-sut-webapp ./testdata/charts/webapp --wait --job 42",
		"bin/helmexec why job-42-sut-webapp",
		"bin/helmexec job clean 42 --wait",
	}},
	{Inside, []string{"bin/cluster -- go run ./mine"}},
	{Beside, []string{"go mod edit -replace github.com/sut-bench/helmexec=../helmexec", "go mod edit -replace github.com/sut-bench/helmexec/otelhelm=../helmexec/otelhelm", "go mod tidy", "cd ../mine && ../helmexec/bin/cluster -- go run ."}},
	{Source, []string{"helm list -l helmexec/job=42 -A"}},
	{Source, []string{"make plugin", "helm sut", "helm sut --help", "helm sut images ./testdata/charts/webapp", "helm plugin uninstall sut"}},
}

const (
	long      = "runs for minutes or hours, or is a part of CI itself"
	named     = "is what the library runs, and no advice"
	writes    = "changes files of the source"
	network   = "needs a module that is published"
	begins    = "makes the module that the tests of e2e/pages have from the beginning"
	measures  = "measures on a machine that has nothing else to do"
	ofFleet   = "is run by make fleet and the tests of e2e/fleet"
	ofCommand = "is run by the tests of cmd/helmexec, on charts and clusters that they have"
	ofPlugin  = "is run by the tests of e2e, with helms and clusters that they have"
	aSpan     = "is the name of a span, and no command"
)

// NotRun are the commands that no test runs, and why. Tests still look whether targets, packages and tests of such a
// command exist.
var NotRun = map[string]string{
	"make test":                      long,
	"make unit":                      long,
	"make tools":                     long,
	"make oldest":                    long,
	"make fuzz":                      long,
	"make chaos":                     long,
	"make chaos CHAOS_SEED=20261127": long,
	"make chaos CHAOS_SEED=20261127 CHAOS_ONLY=cut/17": long,
	"make charts":                long,
	"make charts CHARTS=folder":  long,
	"make compat":                long,
	"make fleet":                 long,
	"fleet worker -plans folder": ofFleet,
	"fleet submit jobs.yaml":     ofFleet,
	"fleet status":               ofFleet,
	"fleet status 42":            ofFleet,
	"fleet cancel 42 qwen":       ofFleet,
	"make bench":                 measures,
	"go test ./...":              long,
	"go test -run Growth ./...":  long,
	"HELMEXEC_GROWTH=16384 go test -timeout=1h -run Growth ./...":                 long,
	"HELMEXEC_SEED=1 HELMEXEC_CASES=20000 go test -run HostileStreams ./manifest": long,
	"HELMEXEC_CORPUS=folder go test -bench Tenant ./policy":                       measures,
	"cd bench && go test -run '^$' -bench Chart2Images -benchtime=25x -count=3":   measures,
	"go test -run TestArgv -update .":                                             writes,
	"cd e2e && go run ./cmd/record -only name-of-the-scene":                       writes,
	"make docs":                                     writes,
	"make picture":                                  writes,
	"go get":                                        network,
	"go get github.com/sut-bench/helmexec":          network,
	"go mod init example.com/mine":                  begins,
	"helm get all --template":                       named,
	"helm install --dry-run=server":                 named,
	"helm upgrade --dry-run=client":                 named,
	"helm upgrade --dry-run=server":                 named,
	"helm get values":                               named,
	"helm get":                                      named,
	"helm show chart":                               named,
	"make plugin HELM=/path/to/helm":                ofPlugin,
	"make plugin INTO=/opt/helmexec":                ofPlugin,
	"helm -n bench --kube-context lab sut list":     ofPlugin,
	"cd bench && go run ./cmd/bench -only installs": measures,
	"helm template":                                 named,
	"helm get all":                                  named,
	"helm verify":                                   named,
	"helm repo add":                                 "is what a user of helm runs, before this program",
	"helm create":                                   "is what the author of a chart runs",
	"helm push":                                     "is what the owner of a chart runs",
	"helm package --sign":                           "is what the owner of a chart runs",
	"kubectl get secrets -A -l owner=helm -L helmexec/job,helmexec/deadline":            "reads what other tests look at with helm",
	`export PATH="$PATH:$(dirname "$(go run ./internal/tools/cmd/tools -path helm4)")"`: "is for the terminal of a reader; the command in it is run",
	"helmexec Install":                            aSpan,
	"helmexec list -A":                            ofCommand,
	"helmexec doctor":                             ofCommand,
	"helmexec job run jobs.yaml":                  ofCommand,
	"helmexec job clean 42 -n bench --wait":       ofCommand,
	"helmexec why job-42-sut-my-web-app -n bench": ofCommand,
	"helmexec completion --help":                  ofCommand,
	"helmexec apply plan.json --create-namespace --digest sha256:… --wait --fail-fast --job 42 --operation-id 42/1 --deadline 4h":                                 ofCommand,
	"helmexec plan -n bench \"$(helmexec name 42 My_web_app)\" https://charts.example/suts/webapp:0.3.1 --save plan.json --policy lab.yaml -o html > review.html": ofCommand,
	"go get github.com/sut-bench/helmexec/otelhelm":                                             network,
	"go install github.com/sut-bench/helmexec/cmd/helmexec@latest":                              network,
	"go test ./cmd/helmexec/internal/cli -update":                                               writes,
	"go test -run='^$' -bench=Observer .":                                                       measures,
	"go test -bench=. .":                                                                        measures,
	"cd bench && HELMEXEC_CORPUS=folder go test -run='^$' -bench=YAML .":                        measures,
	"/usr/bin/time -f '%U %M' /tmp/jobrunner -h; /usr/bin/time -f '%U %M' /tmp/sdk < /dev/null": measures,
	"go build -o /tmp/jobrunner ./examples/jobrunner && (cd bench/sdk && go build -o /tmp/sdk .) && ls -l /tmp/jobrunner /tmp/sdk": measures,
	"go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ./examples/jobrunner | sort -u | wc -l":                                   measures,
	"cd examples/prometheus && go run . ./chart":                                                                                   "needs a cluster and a chart of yours, and runs until it is stopped",
	"go test -run='^$' -bench=Start ./cmd/helmexec":                                                                                measures,

	"helmexec job run": ofCommand,
	"helmexec overdue": ofCommand,
	"helmexec why":     ofCommand,
	"cd e2e && go test -count=1 -run TestRequestsOfAJob -v ./k8s":      measures,
	"cd e2e && go test -count=1 -run TestRecordsOfCharts -v ./k8s":     measures,
	"cd e2e && go test -count=1 -run TestTrafficOfAJob -v ./k8s":       measures,
	"cd e2e && go test -count=1 -run TestSweepOfManyReleases -v ./k8s": measures,
}
