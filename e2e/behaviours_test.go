package e2e

import (
	"testing"
)

// behaviours hold for every Helm.
var behaviours = []struct {
	name string
	run  func(*bed)
}{
	{"repository at a port", repositoryAtAPort},
	{"update with a dead repository", updateWithADeadRepository},
	{"chart by every address", chartByEveryAddress},
	{"chart that is not there", chartThatIsNotThere},
	{"images of the charts", imagesOfTheCharts},
	{"chart is shown, rendered, pulled", chartIsShownRenderedPulled},
	{"chart folder with links", chartFolderWithLinks},
	{"schemas of other documents", schemasOfOtherDocuments},

	{"install of every source", installOfEverySource},
	{"install, look, uninstall", installLookUninstall},
	{"install makes the namespace", installMakesTheNamespace},
	{"list every state", listEveryState},
	{"release as printed", releaseAsPrinted},
	{"success that is not recorded", successThatIsNotRecorded},
	{"labels find a release", labelsFindARelease},
	{"one Helm serves the other", oneHelmServesTheOther},
	{"values are not on the command line", valuesAreNotOnTheCommandLine},
	{"what stays is reported", whatStaysIsReported},
	{"uninstall behind a failing hook", uninstallBehindAFailingHook},
	{"uninstall ends with its pods", uninstallEndsWithItsPods},
	{"custom resource of a new kind", customResourceOfANewKind},
	{"custom resource that owns pods", customResourceThatOwnsPods},
	{"definition among the templates", definitionAmongTheTemplates},
	{"not gone in time", notGoneInTime},
	{"skipped objects are swept", skippedObjectsAreSwept},
	{"an object whose mark was taken off", markTakenOff},
	{"an object that stays, of a record that nobody can read", unreadableAndStaying},

	{"free accelerators", freeAccelerators},
	{"nodes in every state", nodesInEveryState},
	{"cluster too large to count", clusterTooLargeToCount},

	{"uninstall that is refused", uninstallThatIsRefused},
	{"install without rights on records", installWithoutRightsOnRecords},
	{"CRDs and namespaces stay", crdsAndNamespacesStay},
	{"pods that a quota refuses", podsThatAQuotaRefuses},
	{"hook that is refused", hookThatIsRefused},
	{"namespace that the chart names", namespaceThatTheChartNames},
	{"every resource policy", everyResourcePolicy},
	{"pre-delete hook that never ends", preDeleteHookThatNeverEnds},
	{"two homes clean up one job", twoHomesCleanUpOneJob},
	{"names that the API server makes", namesThatTheAPIServerMakes},

	{"record that arrives late", recordThatArrivesLate},
	{"object that arrives late", objectThatArrivesLate},
	{"object that does not arrive", objectThatDoesNotArrive},

	{"upgrade and roll back", upgradeAndRollBack},
	{"rollback beside an upgrade", rollbackBesideAnUpgrade},
	{"upgrade beside a purge", upgradeBesideAPurge},
	{"hook of the install after an upgrade", hookOfTheInstallAfterAnUpgrade},
	{"failed upgrade", failedUpgrade},
	{"cancelled upgrade", cancelledUpgrade},
	{"uninstall after a failed upgrade", uninstallAfterAFailedUpgrade},
	{"job is cleaned up", jobIsCleanedUp},
	{"jobs are kept apart", jobsAreKeptApart},
	{"uninstall waits for a live install", uninstallWaitsForALiveInstall},
	{"tests of a release", testsOfARelease},
	{"logs of tests", logsOfTests},
	{"log-in from memory", logInFromMemory},
	{"settings of helm", settingsOfHelm},
	{"records in config maps", recordsInConfigMaps},
	{"history is limited", historyIsLimited},
	{"progress is told", progressIsTold},
	{"what is installed is transformed", whatIsInstalledIsTransformed},
	{"cancelled while it is transformed", cancelledWhileItIsTransformed},
	{"fits is what the scheduler does", fitsIsWhatTheSchedulerDoes},

	{"planned upgrade", plannedUpgrade},
	{"planned over a failed revision", plannedOverAFailedRevision},
	{"planned over what exists", plannedOverWhatExists},
	{"planned look-ups", plannedLookups},
	{"planned password", plannedPassword},
	{"planned transform", plannedTransform},
	{"planned for the cluster as it is", plannedForTheClusterAsItIs},
	{"planned without a cluster", plannedWithoutACluster},
	{"planned with few rights", plannedWithFewRights},
	{"planned values and notes", plannedValuesAndNotes},

	{"name is taken", nameIsTaken},
	{"operation is known again", operationIsKnownAgain},
	{"chart that Helm refuses", chartThatHelmRefuses},
	{"chart that takes too much", chartThatTakesTooMuch},
	{"cluster that does not answer", clusterThatDoesNotAnswer},
	{"cancelled while a hook runs", cancelledWhileAHookRuns},
	{"cancelled while pods start", cancelledWhilePodsStart},
	{"deadline while pods start", deadlineWhilePodsStart},
	{"record that nobody can read", recordThatNobodyCanRead},
	{"failed release is kept on request", failedReleaseIsKeptOnRequest},
	{"not ready: image", notReady(notReadyImage)},
	{"not ready: GPUs", notReady(notReadyGPUs)},
	{"not ready: within a second", notReady(notReadyAtOnce)},
	{"not ready: crash loop", notReady(notReadyCrashLoop)},
	{"not ready: probe", notReady(notReadyProbe)},
	{"not ready: hook fails", notReady(notReadyHookFails)},
	{"not ready: hook never ends", notReady(notReadyHookNeverEnds)},
	{"fails fast", failsFast},
	{"slow, and not failed fast", slowAndNotFailedFast},
	{"outage is said", outageIsSaid},

	{"command: values", commandValues},
	{"command: looks", commandLooks},
	{"command: a life", commandLife},
	{"command: why and interrupt", commandWhy},
	{"command: job", commandJob},
	{"command: nodes", commandNodes},
	{"command: plugin", commandPlugin},
}

func TestBehaviours(t *testing.T) {
	if shared == nil {
		t.Skip("no cluster: see the first line")
	}
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			for _, behaviour := range behaviours {
				t.Run(behaviour.name, func(t *testing.T) {
					t.Parallel()
					behaviour.run(newBed(t, helm))
				})
			}
		})
	}
}
