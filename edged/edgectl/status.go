package main

import (
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/edged/edged/pkg/client/wire"
	domain "github.com/edged/edged/pkg/module"
)

// describe says what a module does in words: "Up 5 minutes", "Stopped 2 hours ago",
// "Failed (137) 3 minutes ago", "Created"; and behind it why, if edged says so.
func describe(s wire.ModuleStatus, now time.Time) string {
	status := s.RuntimeStatus.Status
	words := title(status)
	switch status {
	case "running":
		words = "Up"
		if d, ok := age(s.StartTime, now); ok {
			words += " " + d
		}
		if health, ok := strings.CutPrefix(s.RuntimeStatus.Description, "running"); ok {
			words += health
		}
		return words
	case "stopped", "failed":
		if s.ExitStatus == nil {
			if s.StartTime == "" {
				words = "Created"
			}
			break
		}
		if status == "failed" {
			words += " (" + s.ExitStatus.StatusCode + ")"
		}
		if d, ok := age(s.ExitStatus.ExitTime, now); ok {
			words += " " + d + " ago"
		}
	}
	if why := reason(s); why != "" {
		words += ": " + why
	}
	return words
}

// reason is what edged's description adds to the words above: not the exit code, nor
// that a stopped module was stopped.
func reason(s wire.ModuleStatus) string {
	why := s.RuntimeStatus.Description
	if s.ExitStatus != nil {
		why = strings.Replace(why, ", exit code "+s.ExitStatus.StatusCode, "", 1)
	}
	why = strings.TrimLeft(strings.TrimPrefix(why, "exited"), ",; ")
	switch why {
	case "created", s.RuntimeStatus.Status:
		return ""
	case domain.StoppedByRequest:
		if s.RuntimeStatus.Status == "stopped" {
			return ""
		}
	}
	return why
}

func title(s string) string {
	if s == "" {
		return "Unknown"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// age is how long ago a time of the contract was. The zero time counts as none, as
// in Docker. A clock that was set back makes no negative ages.
func age(s string, now time.Time) (string, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() <= 1 {
		return "", false
	}
	return strings.ToLower(units.HumanDuration(max(now.Sub(t), 0))), true
}

// exitOf is the code of the last run, empty without one.
func exitOf(m *wire.Module) string {
	if m.Status.ExitStatus == nil {
		return ""
	}
	return m.Status.ExitStatus.StatusCode
}
