// Package support puts together what somebody who was not there needs to find out
// what is wrong with a device: one zip archive, written as it is made, with nothing
// in it that is secret.
//
// What a module was given to run with is redacted by rule, not by guess: every value
// of an environment, argument and label goes, whatever it is called, but for the
// variables that edged itself sets and a few that are no secret anywhere. Logs are
// what modules print; the values that were redacted are taken out of them too.
package support
