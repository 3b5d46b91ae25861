package metrics

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edged/edged/pkg/peer"
)

// buckets are few, in seconds: an answer from memory, one from the database, one that
// waited for containerd, and the rest. A followed log lasts as long as it is followed.
var buckets = []float64{0.001, 0.01, 0.1, 1, 10}

// Requests counts what is asked of edged, and who is refused. It is safe for concurrent use.
type Requests struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refusals  *prometheus.CounterVec
}

// NewRequests returns counters that are in the registry.
func (r *Registry) NewRequests() *Requests {
	q := &Requests{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edged_http_requests_total", Help: "Requests by API, template of the route, method, class of the status and kind of caller.",
		}, []string{"api", "route", "method", "code", "caller"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "edged_http_request_duration_seconds", Help: "How long requests took, those among them that follow something.", Buckets: buckets,
		}, []string{"api", "route", "method"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edged_http_refusals_total", Help: "Requests that were refused, by the rule that did and its reason.",
		}, []string{"rule", "reason"}),
	}
	r.plain.MustRegister(q.requests, q.durations, q.refusals)
	return q
}

// Refused counts a refusal. Both words are edged's own.
func (q *Requests) Refused(rule, reason string) {
	if q != nil {
		q.refusals.WithLabelValues(rule, reason).Inc()
	}
}

// Route returns the counter of one line of a route table. Both route and method are from
// the table, or other: what callers send in their place has no bound.
func (q *Requests) Route(api, route, method string) *Route {
	return &Route{requests: q, labels: [...]string{api, route, method}}
}

// Other stands for a route or a method that no table has.
const Other = "other"

// Aborted is the status of an answer that was not sent to its end.
const Aborted = 0

// classes of statuses, from Aborted to 5xx; and kinds of callers, from one whom nobody
// asked about, because there was nothing to decide, to peer.Module.
const classes, kinds = 6, 4

// NobodyAsked is the kind of the caller of a request that met no rule.
const NobodyAsked = peer.Kind(kinds - 1)

// Route counts the requests of one route. What it has counted once it finds again without
// a look into a map.
type Route struct {
	requests *Requests
	labels   [3]string
	counts   [kinds][classes]atomic.Pointer[prometheus.Counter]
	duration atomic.Pointer[prometheus.Observer]
}

// Done counts an answer.
func (r *Route) Done(kind peer.Kind, status int, took time.Duration) {
	if r.requests == nil {
		return
	}
	class := status / 100
	if kind >= kinds || class < 0 || class >= classes {
		return // there is no such answer
	}
	at := &r.counts[kind][class]
	counter := at.Load()
	if counter == nil {
		code, caller := "aborted", kind.String()
		if class > 0 {
			code = strconv.Itoa(class) + "xx"
		}
		if kind == NobodyAsked {
			caller = "none"
		}
		c := r.requests.requests.WithLabelValues(r.labels[0], r.labels[1], r.labels[2], code, caller)
		counter = &c
		at.Store(counter)
	}
	(*counter).Inc()
	duration := r.duration.Load()
	if duration == nil {
		d := r.requests.durations.WithLabelValues(r.labels[:]...)
		duration = &d
		r.duration.Store(duration)
	}
	(*duration).Observe(took.Seconds())
}

// NewDurations returns what observes how long something took, as a metric of its own.
func (r *Registry) NewDurations(name, help string) func(time.Duration) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	r.plain.MustRegister(h)
	return func(took time.Duration) { h.Observe(took.Seconds()) }
}
