package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/config"
)

// parseLevel reads one of config.LogLevels; errdefs.InvalidArgument.
func parseLevel(text string) (logrus.Level, error) {
	if !slices.Contains(config.LogLevels, text) {
		return 0, fmt.Errorf("log level %q is none of %s: %w", text, strings.Join(config.LogLevels, ", "), errdefs.ErrInvalidArgument)
	}
	return logrus.ParseLevel(text)
}

// reloadLevel takes over the configuration's level when it is another than before: one that
// somebody set meanwhile stays until then.
func (d *daemon) reloadLevel(text string) {
	if text == d.logLevel {
		return
	}
	if _, err := d.setLogLevel(text); err == nil { // it was validated
		d.logLevel = text
	}
}

// setLogLevel changes what is logged until edged ends.
func (d *daemon) setLogLevel(text string) (before string, err error) {
	level, err := parseLevel(text)
	if err != nil {
		return "", err
	}
	before = strings.Replace(d.log.GetLevel().String(), "warning", "warn", 1)
	d.log.SetLevel(level)
	return before, nil
}

// formatter is plain text with a time; for a journal, which has its own times,
// each line begins with the priority that sd-daemon(3) reads.
func formatter() logrus.Formatter {
	if stderrIsJournal() {
		return journalFormatter{}
	}
	return &logrus.TextFormatter{FullTimestamp: true, DisableColors: true}
}

func stderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return err == nil && ok
}

// lastWords say why edged ends, also where there is no logger yet: what ends it may be its arguments or its configuration.
// The class of an error is for programs.
func lastWords(err error, toJournal bool) []byte {
	text := err.Error()
	for _, class := range []error{errdefs.ErrFailedPrecondition, errdefs.ErrInvalidArgument} {
		text = strings.TrimSuffix(text, ": "+class.Error())
	}
	if toJournal {
		return withPriority(journal.PriErr, text)
	}
	return fmt.Appendln(nil, "edged:", text)
}

type journalFormatter struct{}

func (journalFormatter) Format(e *logrus.Entry) ([]byte, error) {
	priority := map[logrus.Level]journal.Priority{
		logrus.PanicLevel: journal.PriCrit, logrus.FatalLevel: journal.PriCrit, logrus.ErrorLevel: journal.PriErr,
		logrus.WarnLevel: journal.PriWarning, logrus.InfoLevel: journal.PriInfo,
	}
	p, ok := priority[e.Level]
	if !ok {
		p = journal.PriDebug
	}
	var b strings.Builder
	b.WriteString(e.Message)
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		fmt.Fprintf(&b, " %s=%q", k, fmt.Sprint(e.Data[k]))
	}
	return withPriority(p, b.String()), nil
}

// withPriority is text as the journal reads it from stderr: each line is an entry, with the priority of what begins it. Lines after the first are
// indented: text that somebody else wrote makes none that could pass for edged's own.
func withPriority(p journal.Priority, text string) []byte {
	begin := fmt.Sprintf("<%d>", p)
	return []byte(begin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+begin+"  ") + "\n")
}
