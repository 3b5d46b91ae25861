// Package systemd tests the units of contrib/systemd in a real systemd: activation, crashes and restarts of edged with modules running, who may use its
// sockets, and what the journal has of it.
package systemd

import (
	"testing"
	"time"

	"github.com/edged/edged/tests/systemd/nspawn"
)

const (
	// soon is how long anything here may take; it is only waited for in full when the test fails.
	soon = 60 * time.Second
	tick = 50 * time.Millisecond
)

// TestUnits is one machine and one life of it: each part begins where the one before it ended.
func TestUnits(t *testing.T) {
	live(t, boot(t), []part{
		{"units are without fault", unitsAreWithoutFault},
		{"sockets have their owners and modes", socketsHaveTheirOwnersAndModes},
		{"first call wakes a service that never ran", firstCallWakes},
		{"agent starts what the manifest asks for", agentStartsTheProbe},
		{"status shows no error and no process but edged", statusShowsNoError},
		{"log lines have priorities and none is a warning", logLinesHavePriorities},
		{"audit is in the fields of the journal", auditIsInFields},
		{"members of the group edged may list, others are told why not", membersMayList},
		{"operators see and steer the service", operatorsSeeAndSteerTheService},
		{"operators read the log", operatorsReadTheLog},
		{"a stopped service is not woken to be seen", stoppedServiceIsNotWokenToBeSeen},
		{"checks find faults of units and journal", checksFindFaultsOfUnitsAndJournal},
		{"members of the group edged may apply", membersMayApply},
		{"call wakes a stopped service", callWakesStoppedService},
		{"killed service is started again", killedServiceIsStartedAgain},
		{"modules go on through restarts and lose no request", modulesGoOnThroughRestarts},
		{"without the descriptor store they would be refused", withoutStoreRequestsAreRefused},
		{"broken configuration is reported, waited for and costs no request", brokenConfigurationIsWaitedFor},
		{"reload keeps the process", reloadKeepsTheProcess},
		{"stuck service is ended by the watchdog", stuckServiceIsEnded},
		{"modules and edged outlive containerd's stop", modulesOutliveContainerd},
		{"what modules are given is mounted on the machine, and goes", modulesMountsAreTheMachines},
		{"sockets of a removed module leave the descriptor store", removedModuleLeavesTheStore},
		{"stopped sockets leave no file and end edged alone", stoppedSocketsLeaveNoFile},
		{"nothing failed", nothingFailed},
	})
}

// part is a part of a machine's life.
type part struct {
	name string
	run  func(*testing.T, *nspawn.Machine)
}

// live runs one part after the other. What failed is explained by the journal.
func live(t *testing.T, m *nspawn.Machine, parts []part) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			edged, _ := m.Enter("journalctl", "--no-pager", "--lines=200", "--unit=edged.service", "--unit=edged.*.socket")
			containerd, _ := m.Enter("journalctl", "--no-pager", "--lines=20", "--unit=containerd.service")
			t.Logf("%s\n\n%s", edged, containerd)
		}
	})
	for _, part := range parts {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, m) }) {
			t.Fatal("the parts that follow need this one")
		}
	}
}

// await asks until the answer is yes, in the test's own goroutine, so that done may end the test.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !done(); time.Sleep(tick) {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", soon, what)
		}
	}
}
