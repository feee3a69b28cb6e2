package view

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec"
)

// The labels of a record count more than the name, and one that is no time is no deadline.
func TestJobAndDeadline(t *testing.T) {
	for _, test := range []struct {
		name, jobLabel, deadlineLabel string
		job, deadline                 string
	}{
		{"web", "", "", "", ""},
		{"job-42-sut-web", "", "", "42", ""},
		{"job-42-sut-web", "43", "1893567845", "43", "2030-01-02T07:04:05Z"},
		{"web", "42", "soon", "42", ""},
		{"web", "", "99999999999999999999", "", ""},
	} {
		labels := map[string]string{"helmexec/job": test.jobLabel, "helmexec/deadline": test.deadlineLabel, "team": "web"}
		got := ReleaseOf(helmexec.Release{Name: test.name, Labels: labels})
		assert.Equal(t, test.job, got.Job, "%+v", test)
		assert.Equal(t, test.deadline, got.Deadline, "%+v", test)
		assert.Equal(t, map[string]string{"team": "web"}, got.Labels, "%+v", test)
	}
	assert.Equal(t, "42", ReleaseOf(helmexec.Release{Name: "job-42-sut-web"}).Job, "as helm's list gives it")
}
