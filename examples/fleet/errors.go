package main

import (
	"errors"
	"io/fs"

	"go.temporal.io/sdk/temporal"

	"github.com/sut-bench/helmexec"
)

// passing are the kinds of failures of helmexec that may pass by themselves. docs/errors.md of the source says so of each.
var passing = map[string]bool{
	"ReleaseBusy":      true, // the other one ends
	"LeftBehind":       true, // a further apply of the same operation removes the rest first
	"NotGone":          true, // a further uninstall goes on
	"FetchTimeout":     true,
	"Canceled":         true, // the worker stops
	"DeadlineExceeded": true, // of one delivery
	"Signal":           true,
	"Other":            true, // of this host: its disk, say
}

// answer makes an error of an activity what Temporal and the workflow understand: its kind, and whether a retry can help.
// The text has no secrets of helm's arguments and environment, but a chart can quote its values in what helm says.
func answer(err error) error {
	if err == nil {
		return nil
	}
	kind := helmexec.ErrorKind(err)
	switch {
	case errors.Is(err, helmexec.ErrNotReady):
		kind = "NotReady" // also if something is left behind, which the compensation removes
	case errors.Is(err, fs.ErrNotExist) && kind == "Other":
		kind = kindPlanLost
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !passing[kind] && !helmexec.IsTransient(err)}
	return temporal.NewApplicationErrorWithOptions(shortened(err.Error()), kind, options)
}

// later makes an error of the compensation one that is tried again, whatever it is.
func later(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewApplicationError(shortened(err.Error()), helmexec.ErrorKind(err))
}

// shortened keeps an error small enough for a history.
func shortened(text string) string {
	const most = 2000
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// kindOf is the kind of an activity's error; "" if it gave none.
func kindOf(err error) string {
	var failed *temporal.ApplicationError
	if errors.As(err, &failed) {
		return failed.Type()
	}
	return ""
}

// isRetryable reports whether an error that an activity answered with may pass.
func isRetryable(err error) bool {
	var failed *temporal.ApplicationError
	return errors.As(err, &failed) && !failed.NonRetryable() && !temporal.IsCanceledError(err)
}
