package catalog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
)

// Requests for many rows go through their body an item at a time, and their answer grows
// beside it: neither has to fit into memory. One of them is worked on at a time.

// isArray looks at the first character of a JSON body.
func (c *content) isArray() (bool, error) { return c.begins('[') }

func (c *content) begins(with byte) (bool, error) {
	if c.media != mediaJSON {
		return false, nil
	}
	b := bufio.NewReader(c.reader())
	for {
		switch ch, err := b.ReadByte(); {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case ch == ' ', ch == '\t', ch == '\n', ch == '\r':
		default:
			return ch == with, nil
		}
	}
}

// bounded ends when one value is longer than a limit: the decoder gathers a value whole. It
// fills what it is given: the decoder goes anew through white space each time it gets more.
type bounded struct {
	io.Reader
	read, from, limit int64
	exceeded          bool
}

func (b *bounded) Read(p []byte) (int, error) {
	// More is asked for only while the value that begins at from goes on.
	room := b.limit - (b.read - b.from)
	if b.exceeded = room < 0; b.exceeded {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := io.ReadFull(b.Reader, p[:min(int64(len(p)), room+1)])
	b.read += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // but for the end, which comes next
	}
	return n, err
}

// items goes through a JSON array or object, with the name of each member of an object. An item
// may be as large as the body for one row. What is not UTF-8 is an error and not another text.
func (c *content) items(limit int64) iter.Seq2[domain.Item, error] {
	return func(yield func(domain.Item, error) bool) {
		in := &bounded{Reader: transform.NewReader(c.reader(), encoding.UTF8Validator), limit: limit}
		d := json.NewDecoder(in)
		err := func() error {
			open, err := d.Token()
			if err != nil {
				return err
			}
			in.from = d.InputOffset()
			for d.More() {
				var item domain.Item
				if open == json.Delim('{') {
					name, err := d.Token()
					if err != nil {
						return err
					}
					item.UID, _ = name.(string)
				}
				var raw json.RawMessage
				if err := d.Decode(&raw); err != nil {
					return err
				}
				in.from = d.InputOffset()
				if item.Body, err = domain.ParseValue(raw); err != nil {
					return err
				}
				if !yield(item, nil) {
					return errStopped
				}
			}
			if _, err := d.Token(); err != nil {
				return err
			}
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("extra data (at byte %d)", d.InputOffset())
			}
			return nil
		}()
		switch {
		case err == nil, errors.Is(err, errStopped):
		case in.exceeded:
			yield(domain.Item{}, httpapi.TooLarge(limit))
		case errors.As(err, new(*domain.Invalid)):
			yield(domain.Item{}, err)
		default:
			yield(domain.Item{}, domain.ParseError(domain.Problem(err)))
		}
	}
}

var errStopped = errors.New("nobody wants more")

// bodies is items without names.
func (c *content) bodies(limit int64) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for item, err := range c.items(limit) {
			if !yield(item.Body, err) {
				return
			}
		}
	}
}

// inTurn does something when no other request for many rows is worked on. The answer is sent
// afterwards: a client that reads slowly keeps nobody waiting.
func (a *api) inTurn(r *httpapi.Request, do func() error) error {
	select {
	case a.bulk <- struct{}{}:
		defer func() { <-a.bulk }()
		return do()
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

// grown is an answer of many rows, held until all of them are written.
type grown struct {
	*spool
	e        *encoder
	rows     int
	warnings []string
}

func (a *api) newGrown(open string) *grown {
	g := &grown{spool: a.newSpool(), e: newEncoder()}
	g.e.WriteString(open)
	return g
}

func (g *grown) add(name *string, r *domain.Row, fields domain.Fields) error {
	if g.rows > 0 {
		g.e.WriteByte(',')
	}
	g.rows++
	if name != nil {
		g.e.value(*name)
		g.e.WriteByte(':')
	}
	g.e.row(r, fields)
	if r.Warning != "" && len(g.warnings) < 100 {
		g.warnings = append(g.warnings, r.UID+": "+r.Warning)
	}
	return g.move()
}

func (g *grown) move() error {
	_, err := g.e.WriteTo(g.spool)
	return err
}

// send answers with what has grown.
func (g *grown) send(w http.ResponseWriter, status int, end string) error {
	g.e.WriteString(end)
	if err := g.move(); err != nil {
		return err
	}
	warn(w, g.warnings...)
	h := w.Header()
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.FormatInt(g.size, 10))
	w.WriteHeader(status)
	in := g.reader()
	for chunk := make([]byte, 64<<10); ; {
		n, err := in.Read(chunk)
		if n > 0 {
			httpapi.Deadline(w)
			if _, err := w.Write(chunk[:n]); err != nil {
				return nil //nolint:nilerr // the client left; the rows are written
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the end
		}
	}
}

func (a *api) createMany(w http.ResponseWriter, r *httpapi.Request, c *content, params asked) error {
	g := a.newGrown("[")
	defer g.close()
	err := a.inTurn(r, func() error {
		return a.Catalog.CreateMany(r.Context(), c.bodies(a.Limits.Body), func(row *domain.Row) error { return g.add(nil, row, params.fields) })
	})
	if err != nil {
		return err
	}
	changed(r, rows(g.rows))
	return g.send(w, http.StatusCreated, "]")
}

func rows(n int) string { return strconv.Itoa(n) + " rows" }

func (a *api) updateMany(w http.ResponseWriter, r *httpapi.Request) error {
	params, c, err := a.asked(r)
	if err != nil {
		return err
	}
	defer c.close()
	partial := r.Method == http.MethodPatch
	mapping, err := c.begins('{')
	switch {
	case err != nil:
		return err
	case c.size == 0 && partial:
		return domain.ErrNoChange
	case c.size == 0:
		httpapi.WriteBytes(w, http.StatusOK, []byte("{}"))
		return nil
	case !mapping && c.media == mediaJSON && c.size <= a.Limits.Body:
		return c.noMapping(partial)
	case !mapping:
		return domain.ErrNoMapping
	}
	g := a.newGrown("{")
	defer g.close()
	err = a.inTurn(r, func() error {
		return a.Catalog.UpdateMany(r.Context(), params.filters, c.items(a.Limits.Body), partial, func(uid string, row *domain.Row) error { return g.add(&uid, row, params.fields) })
	})
	switch {
	case err != nil:
		return err
	case g.rows == 0 && partial:
		return domain.ErrNoChange
	}
	changed(r, rows(g.rows))
	return g.send(w, http.StatusOK, "}")
}

// noMapping says what is wrong with a body that is no object.
func (c *content) noMapping(partial bool) error {
	v, err := c.value()
	switch {
	case err != nil:
		return err
	case partial && domain.Empty(v):
		return domain.ErrNoChange
	}
	return domain.ErrNoMapping
}

func (a *api) deleteMany(w http.ResponseWriter, r *httpapi.Request) error {
	params, c, err := a.asked(r)
	if err != nil {
		return err
	}
	defer c.close()
	list, err := c.isArray()
	switch {
	case err != nil:
		return err
	case !list && c.media == mediaJSON && c.size <= a.Limits.Body:
		if _, err := c.value(); err != nil {
			return err
		}
		return domain.ErrNoList
	case !list:
		return domain.ErrNoList
	}
	n := 0
	err = a.inTurn(r, func() error {
		n, err = a.Catalog.DeleteMany(r.Context(), params.filters, c.bodies(a.Limits.Body))
		return err
	})
	if err != nil {
		return err
	}
	changed(r, rows(n))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
