package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// barWidth is that of a progress bar in characters.
const barWidth = 30

// bar is one line on a terminal that shows how far something is. Elsewhere it shows nothing.
type bar struct {
	app   *app
	label string
	total int64
	begun time.Time
	said  time.Time
	open  bool // the cursor stands behind the line
}

func (a *app) bar(label string, total int64) *bar {
	return &bar{app: a, label: label, total: total, begun: a.now()}
}

// show is called with what is done so far, as often as there is something new.
func (b *bar) show(done int64) {
	now := b.app.now()
	if !b.app.errTerminal || now.Sub(b.said) < pullEvery && done < b.total {
		return
	}
	b.said, b.open = now, true
	fmt.Fprintf(b.app.err, "\r\x1b[K%s", b.text(done, now))
}

func (b *bar) text(done int64, now time.Time) string {
	if done >= b.total {
		return printable(b.label) + ": sent, edged looks at it"
	}
	full := int(done * barWidth / max(b.total, 1))
	text := fmt.Sprintf("%s [%s%s] %3d%% of %s", printable(b.label), strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done*100/max(b.total, 1), units.BytesSize(float64(b.total)))
	if in := now.Sub(b.begun).Seconds(); in > 1 {
		text += fmt.Sprintf(", %s/s", units.BytesSize(float64(done)/in))
	}
	return text
}

// end takes the line away.
func (b *bar) end() {
	if b.open {
		fmt.Fprint(b.app.err, "\r\x1b[K")
	}
}
