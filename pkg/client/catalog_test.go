package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// TestLargeBuildsAreReadInSmallerPages: somebody who may write into the catalog could else keep
// others from being told which modules are affected.
func TestLargeBuildsAreReadInSmallerPages(t *testing.T) {
	const count, large = 230, 117
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		number := func(name string) int {
			n, err := strconv.Atoi(r.URL.Query().Get(name))
			if err != nil {
				t.Error(err)
			}
			return n
		}
		size, page := number("page_size"), number("page")
		asked = append(asked, r.URL.RawQuery)
		var answer wire.BuildPage
		from, to := size*(page-1), min(size*page, count)
		for i := from; i < to; i++ {
			answer.Results = append(answer.Results, wire.Build{UID: strconv.Itoa(i)})
		}
		if from <= large && large < to && size > 1 {
			for _, text := range []string{`{"results":[{"modulemd":"`, strings.Repeat("x", 64<<20), `"}]}`} {
				_, _ = io.WriteString(w, text) // the client has had enough
			}
			return
		}
		if to < count {
			answer.Next = "http://localhost/"
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Log(err) // the client has had enough
		}
	})
	seen := 0
	require.NoError(t, c.EachBuild(context.Background(), nil, func(b *wire.Build) error {
		require.Equal(t, strconv.Itoa(seen), b.UID)
		seen++
		return nil
	}))
	require.Equal(t, count, seen)
	require.Equal(t, []string{"page=1&page_size=100", "page=2&page_size=100", "page=11&page_size=10", "page=12&page_size=10", "page=111&page_size=1"}, asked[:5])
	require.Equal(t, "page=3&page_size=100", asked[len(asked)-1])
}
