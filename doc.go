// Package helmexec drives the helm command line, Helm 3 and Helm 4, for programs that install charts
// of other people: benchmark orchestrators, job runners, test beds. It needs Go 1.26
// or later and a helm binary, and links neither the Helm SDK nor a Kubernetes client.
//
//	helm, err := helmexec.New(helmexec.Config{Namespace: "bench"})
//	chart, err := helm.Chart2Info(ctx, "https://charts.example/suts/webapp:0.3.1", helmexec.ChartOptions{})
//	release, err := helm.Install(ctx, helmexec.SUTHelmName("42", "my_web_app"), chart.Archive,
//		helmexec.InstallOptions{Wait: true, OperationID: "42/1", JobID: "42"})
//	removed, err := helm.Uninstall(ctx, release.Name, helmexec.UninstallOptions{Wait: true})
//
// # Addresses
//
// A chart is named by one string: the URL of a repository with the chart's name behind it, an
// oci:// reference, the URL of an archive, the name of a repository that [Helm.AddRepo] made known,
// or a path; [Helm.Chart2Info] lists the forms. A version follows behind a colon. Whatever takes a
// chart takes any of them. [Helm.Fetch] makes it a file in the cache of the home, and what is given
// that file's path sees the same bytes again, whatever the repository serves by then. Package chart reads
// such a file, or a folder, without helm.
//
// # Exactly once
//
// The answer of helm can be lost: the connection breaks, the process or its runner is killed. The
// name of the release is taken then, and helm can neither go on nor start again. [Helm.Install]
// gives each operation an id, which is stored on the release; after a try of unknown outcome it looks
// for the release and decides by what it finds. [InstallOptions].OperationID carries the id over to
// the next start of a runner. The call ends with the release, or with an error after what it made
// was removed, or with [ErrLeftBehind] and the list of what could not be. [Helm.Upgrade],
// [Helm.Rollback] and [Helm.Uninstall] settle a lost answer in the same way. The file
// docs/exactly-once.md of the source has the details.
//
// # Retries and contexts
//
// [Config].Retry says how often and how fast a call is repeated after a failure that may pass; see
// [IsTransient]. By default that is three tries, one second apart. Calls that only read from the
// cluster (List, Status, History, the Get calls) and Template are made once.
//
// When a context ends, helm is sent a SIGTERM and has [Config].GracePeriod to put its record in order,
// before its process group is killed; within the same period an install removes what it made. The
// error is then the context's own, found by errors.Is with [context.Canceled] or
// [context.DeadlineExceeded]. A helm that had succeeded already is a success all the same.
//
// # Homes and concurrency
//
// One [Helm] serves any number of goroutines, and any number of processes may share a home.
// [Config].Home is a private folder by default: no HELM_* variable, plugin or repository of the user
// has an effect, and each repository has its own folder in it, so that a hostile one cannot replace
// the charts of another. A home that other users of the host can change is refused. At most
// [Config].MaxProcesses helms run at once; a caller that waits for its turn leaves when its context
// ends.
//
// # Images and GPUs
//
// [Helm.Chart2Images] tells what a cluster will pull for a chart and [Helm.Chart2GPUs] what
// accelerators it asks for, before anything is installed; [Helm.Inspect] gives both and more from one
// render. They read the rendered manifest as YAML, with Argo workflows and other custom resources
// that make pods; [Manifest.ImageReport] says where each image stands, and [Manifest.Retag] rewrites
// them in place. [GPUReport.Fits] tells whether given nodes can hold the pods. All of this is package
// manifest, which needs no helm; its names are here as well.
//
// # Errors
//
// Errors are told apart by errors.Is with the Err variables, never by their text, which is printable
// whatever a chart or a server said. A helm process that failed is an [*Error], with its arguments
// free of secrets and the end of what it said. A failed change of a release is a [*ReleaseError],
// which says what state the release is in, why it is not ready, pod by pod, and what stays in the
// cluster.
package helmexec
