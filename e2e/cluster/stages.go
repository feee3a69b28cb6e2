package cluster

import _ "embed"

// Labels of a pod that choose what kwok simulates. Without any of them a pod is ready at once, or
// completes at once if its restart policy is not Always, as the pods of Jobs and of helm's tests.
const (
	// LabelFault names what goes wrong; see the Fault constants.
	LabelFault = "helmexec-e2e/fault"
	// LabelReadyAfter is the time from being scheduled to being ready ("3s").
	LabelReadyAfter = "helmexec-e2e/ready-after"
	// LabelFinishAfter is the time from being ready to completing, or failing.
	LabelFinishAfter = "helmexec-e2e/finish-after"
	// LabelGoneAfter is the time from being deleted to being gone, for a pod that
	// has not ended: the apiserver itself removes one that has.
	LabelGoneAfter = "helmexec-e2e/gone-after"
)

// Values of LabelFault.
const (
	// FaultImagePull: the image cannot be pulled, twice within 2 s; each time there is an event. The same holds for every image
	// with "nosuchimage" in its name.
	FaultImagePull = "ImagePullBackOff"
	// FaultCrashLoop: the container has ended again and again, and was restarted 5 times.
	FaultCrashLoop = "CrashLoopBackOff"
	// FaultNotReady: the container runs but its readiness probe fails.
	FaultNotReady = "NotReady"
	// FaultPullLate, FaultConfigLate and FaultCrashRecovers: after 6 s a pod gets ready whose image could not be pulled, whose
	// container could not be made, or whose container has ended three times.
	FaultPullLate, FaultConfigLate, FaultCrashRecovers = "PullLate", "ConfigLate", "CrashRecovers"
	// FaultConfigError: the container cannot be made.
	FaultConfigError = "ConfigError"
	// FaultFail: a pod that would complete fails.
	FaultFail = "Fail"
	// FaultNeverFinish: a pod that would complete runs on.
	FaultNeverFinish = "NeverFinish"
)

//go:embed stages.yaml
var stages []byte
