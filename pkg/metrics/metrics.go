// Package metrics is what edged tells of itself as numbers, in Prometheus' text format: on the management socket, on the loopback interface and in a
// file for a collector that speaks no Unix socket.
//
// The number of series is bounded: a label's value is a word of edged's own, the template of a route, or the name of a module that is there. Nothing
// else that a caller chose is ever one.
package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Type is what a metric is to Prometheus.
type Type = prometheus.ValueType

// The types of a Family. A counter only grows, until edged starts again.
const (
	Counter = prometheus.CounterValue
	Gauge   = prometheus.GaugeValue
)

// Family is one metric, read when somebody asks for it.
type Family struct {
	Name, Help string
	Type       Type
	Labels     []string
	// Read tells the samples, each with the values of the labels.
	Read func(tell func(value float64, labels ...string))
}

// Registry holds all metrics. Those that name modules are told only to who may see names.
type Registry struct {
	plain, named *prometheus.Registry
}

// New returns a registry that has those of Go's runtime and of the process, and the
// version of the program.
func New(version string) *Registry {
	r := &Registry{plain: prometheus.NewPedanticRegistry(), named: prometheus.NewPedanticRegistry()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "edged_build_info", Help: "Always 1; the version of edged.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	r.plain.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Add adds metrics that name no module. A wrong one panics: a defect that no start can miss.
func (r *Registry) Add(families ...Family) { r.plain.MustRegister(newCollector(families)) }

// AddNamed adds metrics with the names of modules.
func (r *Registry) AddNamed(families ...Family) { r.named.MustRegister(newCollector(families)) }

// Write writes all metrics, those with names of modules only where names is true. What
// cannot be read is left out.
func (r *Registry) Write(w io.Writer, names bool) error {
	from := prometheus.Gatherers{r.plain}
	if names {
		from = append(from, r.named)
	}
	families, err := from.Gather()
	// One write: whoever reads slowly holds nothing up while the text is made.
	var text bytes.Buffer
	for _, f := range families {
		if _, failed := expfmt.MetricFamilyToText(&text, f); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if _, failed := w.Write(text.Bytes()); failed != nil {
		return fmt.Errorf("cannot write metrics: %w", failed)
	}
	if err != nil {
		return fmt.Errorf("cannot read all metrics: %w", err)
	}
	return nil
}

// collector is a table of families for Prometheus' library.
type collector struct {
	families []Family
	descs    []*prometheus.Desc
}

func newCollector(families []Family) *collector {
	c := &collector{families: families}
	for _, f := range families {
		c.descs = append(c.descs, prometheus.NewDesc(f.Name, f.Help, f.Labels, nil))
	}
	return c
}

func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	for i, f := range c.families {
		f.Read(func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(c.descs[i], f.Type, value, labels...)
			if err != nil {
				m = prometheus.NewInvalidMetric(c.descs[i], err)
			}
			to <- m
		})
	}
}
