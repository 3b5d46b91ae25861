package main

import (
	"errors"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

func TestEachLineForTheJournalHasItsPriority(t *testing.T) {
	for name, test := range map[string]struct {
		level logrus.Level
		text  string
		data  logrus.Fields
		want  string
	}{
		"information":               {level: logrus.InfoLevel, text: "edged answers", want: "<6>edged answers\n"},
		"warning with its cause":    {level: logrus.WarnLevel, text: "cannot store", data: logrus.Fields{"error": "no\nroom", "b": 1}, want: "<4>cannot store b=\"1\" error=\"no\\nroom\"\n"},
		"error of several lines":    {level: logrus.ErrorLevel, text: "one\ntwo", want: "<3>one\n<3>  two\n"},
		"line that forges another":  {level: logrus.DebugLevel, text: "module says x\n<2>edged: attack", want: "<7>module says x\n<7>  <2>edged: attack\n"},
		"line that ends with a new": {level: logrus.InfoLevel, text: "done\n", want: "<6>done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := journalFormatter{}.Format(&logrus.Entry{Level: test.level, Message: test.text, Data: test.data})
			require.NoError(t, err)
			require.Equal(t, test.want, string(got))
		})
	}
}

func TestLastWordsAreAnError(t *testing.T) {
	err := errors.Join(errors.New("cannot do this"), errors.New("nor that"))
	require.Equal(t, "<3>cannot do this\n<3>  nor that\n", string(lastWords(err, true)))
	require.Equal(t, "edged: cannot do this\nnor that\n", string(lastWords(err, false)))
}
