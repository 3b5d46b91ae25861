package client_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func TestAPullReportsEachLineAndEndsWithTheLast(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		class  error
		lines  int
	}{
		"pulled":       {answer: "{\"status\":\"downloading\"}\n{\"status\":\"downloading\",\"layer\":\"l\",\"offset\":1,\"total\":2}\n{\"status\":\"pulled\",\"image\":\"i\",\"digest\":\"d\"}\n", lines: 2},
		"failed":       {answer: "{\"status\":\"downloading\"}\n{\"status\":\"failed\",\"code\":503,\"message\":\"m\"}\n", class: errdefs.ErrUnavailable, lines: 1},
		"no last line": {answer: "{\"status\":\"downloading\"}\n", class: errdefs.ErrUnavailable, lines: 1},
		"cut":          {answer: "{\"status\":\"down", class: errdefs.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var request, body string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				request, body = r.Method+" "+r.RequestURI, string(b)
				_, _ = io.WriteString(w, tc.answer)
			})
			var lines []wire.PullStatus
			got, err := c.PullImage(t.Context(), wire.ImagePull{Image: "i"}, func(s wire.PullStatus) { lines = append(lines, s) })
			require.Equal(t, "POST /images/pull?api-version=2022-08-03", request)
			require.JSONEq(t, `{"image":"i"}`, body)
			require.Len(t, lines, tc.lines)
			if tc.class != nil {
				require.ErrorIs(t, err, tc.class)
				return
			}
			require.NoError(t, err)
			require.Equal(t, &wire.PullStatus{Status: wire.PullDone, Image: "i", Digest: "d"}, got)
		})
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	_, err := c.PullImage(t.Context(), wire.ImagePull{Image: "i"}, nil)
	require.ErrorContains(t, err, "cannot read answer")
}

func TestImagesAreListedAndPruned(t *testing.T) {
	var request string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		request = r.Method + " " + r.URL.Path + " " + string(b)
		_, _ = io.WriteString(w, `{"images":[{"name":"i"}],"removed":[{"name":"i"}],"bytes":3}`)
	})
	list, err := c.Images(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "GET /images ", request)
	pruned, err := c.PruneImages(t.Context(), true)
	require.NoError(t, err)
	require.EqualValues(t, 3, pruned.Bytes)
	require.Equal(t, `POST /images/prune {"all":true}`, request)
}
