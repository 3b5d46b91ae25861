package catalog

import (
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
)

// The rows of a page, when the client says nothing, and at most.
const (
	pageSize    = 20
	maxPageSize = 100
)

// asked is what the parameters of a request say.
type asked struct {
	filters []domain.Filter
	order   []domain.Order
	fields  domain.Fields
}

// parameters reads them: also of requests for which most of them mean nothing.
func parameters(r *httpapi.Request) (a asked, err error) {
	if err := acceptable(r); err != nil {
		return a, err
	}
	if err := domain.CheckParams(r.Query); err != nil {
		return a, err
	}
	if order, ok := r.Query["ordering"]; ok {
		if a.order, err = domain.ParseOrder(order[len(order)-1]); err != nil {
			return a, err
		}
	}
	if a.filters, err = domain.ParseFilters(r.Query); err != nil {
		return a, err
	}
	a.fields, err = domain.ParseFields(r.Query["fields"], r.Query["exclude_fields"])
	return a, err
}

// acceptable refuses a client that wants something else than JSON.
func acceptable(r *httpapi.Request) error {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return nil
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, err := mime.ParseMediaType(part)
		if err == nil && slices.Contains([]string{"*/*", "application/*", mediaJSON}, media) {
			return nil
		}
	}
	return httpapi.NotAcceptable("Could not satisfy the request Accept header.")
}

// list answers a page, or with a page_size of nothing or less all rows at once.
func (a *api) list(w http.ResponseWriter, r *httpapi.Request) error {
	params, err := parameters(r)
	if err != nil {
		return err
	}
	q := &domain.Query{Filters: params.filters, Order: params.order, Fields: params.fields, Size: size(r.Query)}
	if q.Size > 0 {
		if q.Page, err = page(r.Query); err != nil {
			return err
		}
	}
	found, err := a.Catalog.Page(r.Context(), q)
	if err != nil {
		return err
	}
	out := newAnswer(w)
	if q.Size == 0 {
		out.WriteByte('[')
		if err := a.rows(out, r, found.IDs, params.fields); err != nil {
			return err
		}
		out.WriteByte(']')
		return out.end()
	}
	out.WriteString(`{"count":`)
	out.value(found.Count)
	out.WriteString(`,"next":`)
	out.value(link(r, found.Number+1, found.Number < found.Last))
	out.WriteString(`,"previous":`)
	out.value(link(r, found.Number-1, found.Number > 1))
	out.WriteString(`,"results":[`)
	if err := a.rows(out, r, found.IDs, params.fields); err != nil {
		return err
	}
	out.WriteString(`]}`)
	return out.end()
}

// rows writes rows with commas between. When much has gathered it goes to the client,
// while nothing is held in the database.
func (a *api) rows(out *answer, r *httpapi.Request, ids []int64, fields domain.Fields) error {
	first := true
	for len(ids) > 0 {
		n, err := a.Catalog.Rows(r.Context(), ids, fields, func(row *domain.Row) bool {
			if !first {
				out.WriteByte(',')
			}
			first = false
			out.row(row, fields)
			return out.Len() < inMemory
		})
		if err != nil {
			return err
		}
		ids = ids[n:]
		if len(ids) > 0 || out.Len() >= 2*inMemory {
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// size reads page_size: the last that was given; what is no number is as nothing given.
func size(query url.Values) int {
	given := query["page_size"]
	if len(given) == 0 {
		return pageSize
	}
	n, err := strconv.Atoi(strings.TrimSpace(given[len(given)-1]))
	switch {
	case err != nil:
		return pageSize
	case n <= 0:
		return 0
	}
	return min(n, maxPageSize)
}

func page(query url.Values) (int, error) {
	given := query["page"]
	if len(given) == 0 {
		return 1, nil
	}
	last := given[len(given)-1]
	if last == "last" {
		return domain.LastPage, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(last))
	if err != nil || n < 1 || n > math.MaxInt32/maxPageSize {
		return 0, domain.ErrNoPage
	}
	return n, nil
}

// link is the address of another page, with all else as in the request; nil when there
// is no such page. The first page has no number.
func link(r *httpapi.Request, number int, there bool) any {
	if !there {
		return nil
	}
	query := url.Values{}
	for name, values := range r.Query {
		query[name] = values
	}
	query.Del("page")
	if number > 1 {
		query.Set("page", strconv.Itoa(number))
	}
	path := r.URL.EscapedPath()
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return address(r, path)
}

// answer is JSON on its way to the client: with its length when it is not long.
type answer struct {
	*encoder
	w       http.ResponseWriter
	flushed bool
}

func newAnswer(w http.ResponseWriter) *answer { return &answer{encoder: newEncoder(), w: w} }

func (a *answer) flush() error {
	if !a.flushed {
		a.flushed = true
		a.w.Header().Set("Content-Type", mediaJSON)
		a.w.WriteHeader(http.StatusOK)
	}
	httpapi.Deadline(a.w)
	_, err := a.w.Write(a.Bytes())
	a.Reset()
	return err
}

func (a *answer) end() error {
	if a.flushed {
		return a.flush()
	}
	httpapi.WriteBytes(a.w, http.StatusOK, a.Bytes())
	return nil
}
