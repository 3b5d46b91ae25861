package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"
)

// formatter is plain text with a time; for a journal, which has its own times,
// each line begins with the priority that sd-daemon(3) reads.
func formatter() logrus.Formatter {
	if ok, err := journal.StderrIsJournalStream(); err == nil && ok {
		return journalFormatter{}
	}
	return &logrus.TextFormatter{FullTimestamp: true, DisableColors: true}
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
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>%s", p, e.Message)
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		fmt.Fprintf(&b, " %s=%q", k, fmt.Sprint(e.Data[k]))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
