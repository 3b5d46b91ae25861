package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// ask puts a question to a person, and takes only y or yes for a yes. Where nobody can
// answer, yes has to be said on the command line.
func (a *app) ask(question string, yes bool) error {
	if yes {
		return nil
	}
	if !a.inTerminal {
		return usageError{fmt.Errorf("%s: nobody can be asked here, so say --yes", question)}
	}
	answer, err := a.prompt(question + "? [y/N] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	fmt.Fprintln(a.err, "edgectl: nothing was changed")
	return reported{exitFailed}
}

// prompt reads one line; the end of the input is an empty one.
func (a *app) prompt(text string) (string, error) {
	fmt.Fprint(a.err, text)
	if a.lines == nil {
		a.lines = bufio.NewReader(a.in)
	}
	line, err := a.lines.ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(a.err)
	}
	return strings.TrimSpace(line), nil
}

// gidOf is a file's group.
func gidOf(st os.FileInfo) int {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Gid)
	}
	return -1
}
