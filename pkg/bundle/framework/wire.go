package framework

import (
	"encoding/json"
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
