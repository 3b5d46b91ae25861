package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/edged/edged/mgmt"
	"github.com/edged/edged/pkg/metrics"
)

// scrapers is how many connections the loopback interface has at most: a scraper has one.
const scrapers = 8

// scrapeRetry is between two tries to listen there.
const scrapeRetry = 30 * time.Second

// runMetrics serves metrics beside the management socket, where that is configured. Nothing
// of it keeps edged from its work: a port that is taken is tried again.
func (d *daemon) runMetrics(ctx context.Context) {
	c := d.cfg.Metrics
	write := func(w io.Writer) { d.writeSome(w, c.Names) }
	if c.Textfile != "" {
		file := metrics.Textfile{Path: c.Textfile, Every: c.Interval.Duration, Write: write, Log: d.log}
		d.goes(func() { file.Run(ctx) })
	}
	if c.Listen == "" {
		return
	}
	server := mgmt.NewScrape(write, d.log)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	said := false
	for ctx.Err() == nil {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
		if err == nil {
			said = false
			err = server.Serve(netutil.LimitListener(listener, scrapers))
		}
		if errors.Is(err, http.ErrServerClosed) {
			return
		}
		if !said && ctx.Err() == nil {
			d.log.WithError(err).Errorf("cannot serve metrics at %s, trying again", c.Listen)
			said = true
		}
		select {
		case <-time.After(scrapeRetry):
		case <-ctx.Done():
		}
	}
}
