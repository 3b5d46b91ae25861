package framework

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/edged/edged/pkg/bundle"
)

// hello is the first line of a connection.
type hello struct {
	Hello     int    `json:"hello"`
	Session   string `json:"session"`
	Framework string `json:"framework"`
	Version   string `json:"version"`
	Java      string `json:"java"`
	JavaLevel int    `json:"javaLevel"`
	Recovered string `json:"recovered"`
}

// request is what the framework is asked to do. Size bytes follow the line.
type request struct {
	ID        uint64  `json:"id"`
	Op        string  `json:"op"`
	Bundle    *int64  `json:"bundle,omitempty"`
	Bundles   []int64 `json:"bundles,omitempty"`
	Location  string  `json:"location,omitempty"`
	Transient bool    `json:"transient,omitempty"`
	Level     int     `json:"level,omitempty"`
	Size      *int64  `json:"size,omitempty"`
}

// some is a list that is read up to its bound: a line is long enough for millions of elements, each
// a hundred times the bytes it has there, and any bundle can send one.
type some[T any] []T

// errTooMany is of a framework that has more than is kept of one.
var errTooMany = fmt.Errorf("the OSGi framework has more than %d bundles", maxBundles)

// UnmarshalJSON reads a list. It stops at the first element that is none of its own.
func (l *some[T]) UnmarshalJSON(text []byte) error {
	in := json.NewDecoder(bytes.NewReader(text))
	if t, err := in.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("it is no list"), err)
	}
	*l = nil
	for in.More() {
		if len(*l) == maxBundles {
			return errTooMany
		}
		var one T
		if err := in.Decode(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// line is an answer, or an event.
type line struct {
	ID    *uint64         `json:"id"`
	OK    json.RawMessage `json:"ok"`
	Error *refusal        `json:"error"`

	Event  string         `json:"event"`
	Type   string         `json:"type"`
	Text   string         `json:"text"`
	Bundle *bundle.Actual `json:"bundle"`
}

type refusal struct {
	Class   string `json:"class"`
	Type    int    `json:"type"`
	Message string `json:"message"`
	Cause   string `json:"cause"`
}

// maxText bounds what is kept of a text from the framework, which goes to callers and logs.
const maxText = 4096

// err is the refusal. Of the exception at the bottom the first line is kept: some frameworks
// put dumps of all threads into one.
func (r *refusal) err() error {
	root, _, _ := strings.Cut(r.Cause, "\n")
	return &bundle.Refused{Class: cut(r.Class), Type: r.Type, Text: cut(r.Message), Root: cut(root)}
}
