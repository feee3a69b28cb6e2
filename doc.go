// Package helmexec drives the helm command line, Helm 3 and Helm 4, for programs that install charts
// of other people: benchmark orchestrators, job runners, test beds. It needs Go 1.26 or later and a
// helm binary. It links neither the Helm SDK nor a Kubernetes client.
//
//	helm, err := helmexec.New(helmexec.Config{Namespace: "bench"})
//	plan, err := helm.Plan(ctx, helmexec.SUTHelmName("42", "my_web_app"), "https://charts.example/suts/webapp:0.3.1",
//		helmexec.PlanOptions{})
//	release, err := helm.Apply(ctx, plan, helmexec.ApplyOptions{Wait: true, OperationID: "42/1", JobID: "42"})
//	removed, err := helm.Uninstall(ctx, release.Name, helmexec.UninstallOptions{Wait: true})
//
// # Addresses
//
// The address of a chart is one string: the URL of a repository followed by the chart's name, an oci://
// reference, the URL of an archive, repo/chart with a repository added by [Helm.AddRepo], or a path;
// [Helm.Chart2Info] lists the forms. A version follows after a colon. Every call that takes a chart
// accepts all forms. [Helm.Fetch] downloads the chart into the cache of the home. A later call with the
// path of that file reads the same bytes, whatever the repository serves then. Package chart reads such a
// file, or a folder, without helm.
//
// # Exactly once
//
// Helm's answer can be lost: the connection breaks, or the process or its runner is killed. Then the
// name of the release is taken, and helm can neither continue nor start again. [Helm.Install] gives
// each operation an id, which is stored on the release. After a try with an unknown outcome, it looks
// for the release and decides from what it finds. [InstallOptions].OperationID keeps the id across
// restarts of a runner. The call ends with the release, or with an error after what it made was
// removed, or with [ErrLeftBehind] and the list of what could not be removed. [Helm.Upgrade],
// [Helm.Rollback] and [Helm.Uninstall] handle a lost answer in the same way. The file
// docs/exactly-once.md of the source has the details.
//
// # Retries and contexts
//
// [Config].Retry says how often and how fast a call is repeated after a failure that may pass; see
// [IsTransient]. By default that is three tries, one second apart. Calls that only read from the
// cluster (List, Status, History, the Get calls) and Template are made once.
//
// When a context ends, helm gets a SIGTERM and has [Config].GracePeriod to finish its record before
// its process group is killed; within the same period an install removes what it made. Then errors.Is
// finds [context.Canceled] or [context.DeadlineExceeded] in the error. If helm had already succeeded,
// the call succeeds.
//
// # Homes and concurrency
//
// One [Helm] serves any number of goroutines, and any number of processes may share a home.
// [Config].Home is a private folder by default: no HELM_* variable, plugin or repository of the user
// has an effect, and helm gets only a list of the program's environment (docs/security.md). Each repository has its own folder in it, so that a hostile one cannot replace the
// charts of another. A home that other users of the host can change is refused. At most
// [Config].MaxProcesses helms run at once; a waiting caller gives up when its context ends.
//
// # Observing
//
// [Config].Observer sees every operation and every helm process begin and end, for traces and metrics; [Config].Logger
// gets a line for each process. The module otelhelm gives them to OpenTelemetry. The file docs/observability.md of the
// source has the details.
//
// # Plans
//
// What a chart renders to can be another thing at each render, and another thing to each reader.
// [Helm.Plan] renders a chart once and shows what it would run: images, GPUs, objects, hooks, CRDs, as
// Kubernetes reads them. [Helm.Apply] installs or upgrades exactly that. Package plan has the type, package
// policy rules that decide whether it may run; docs/plan.md and docs/policy.md of the source have the details.
//
// # Images and GPUs
//
// Before anything is installed, [Helm.Chart2Images] lists what a cluster will pull for a chart and
// [Helm.Chart2GPUs] which accelerators it asks for; [Helm.Inspect] gives both and more from one
// render. They read the rendered manifest as YAML, including Argo workflows and other custom
// resources that make pods. [Manifest.ImageReport] gives the place of each image, and
// [Manifest.Retag] rewrites images in place. [GPUReport.Fits] says whether given nodes can hold the
// pods. All of this is in package manifest, which needs no helm; its names are repeated here.
//
// # Errors
//
// Use errors.Is with the Err variables to tell errors apart, never their text. The text is
// printable, whatever a chart or a server said. A failed helm process is an [*Error], with its
// arguments, free of secrets, and the end of its stderr. A failed change of a release is a
// [*ReleaseError]: it has the status of the release, why it is not ready, pod by pod, and what stays
// in the cluster.
package helmexec
