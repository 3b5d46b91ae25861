package workload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// raw sends bytes from within the module and returns all that came until edged closed the connection.
func (m *member) raw(text string) string {
	m.t.Helper()
	status, answer := m.probe.Do(http.MethodPost, "/raw?socket="+url.QueryEscape(m.socket), text)
	require.Equal(m.t, http.StatusOK, status, answer)
	return answer
}

// head is a request up to its body, of a client that reads to the end.
func (m *member) head(action string, lines ...string) string {
	return fmt.Sprintf("POST %s?api-version=2018-06-28 HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n", m.path(action), strings.Join(lines, "\r\n"))
}

// What clients in the field send, byte for byte: each of these is refused by the plain server of the standard library, or cannot read chunks.
func TestClientsOfTheFieldAreServed(t *testing.T) {
	d := device.New(t, device.Options{})
	m := run(t, d, "sensor")
	digest, body := m.sign("text"), signBody("text")
	length := fmt.Sprintf("Content-Length: %d", len(body))
	for _, host := range []string{"/var/run/iotedge/workload.sock", "unix:///var/run/iotedge/workload.sock", "/run/edged/workload.sock:0", "2f7661722f72756e:0", "workload.sock:80", "localhost", ""} {
		for _, content := range []string{"Content-Type: application/json", "Content-Type: application/json; charset=utf-8", "Accept: */*"} {
			for _, at := range []*member{m, m.shared()} {
				status, got := whole(t, at.raw(at.head("sign", "Host: "+host, content, length)+body))
				require.Equal(t, http.StatusOK, status, "%q: %s", host, got)
				var answer map[string]string
				require.NoError(t, json.Unmarshal([]byte(got), &answer))
				require.Equal(t, digest, answer["digest"])
			}
		}
		for _, route := range []string{"/trust-bundle", "/modules/", "/modules"} {
			status, got := whole(t, m.raw("GET "+route+"?api-version=2018-06-28 HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			require.Equal(t, http.StatusOK, status, "%q: %s", host, got)
			require.True(t, json.Valid([]byte(got)))
		}
	}
	// The largest answers are the ones that the server of the standard library would send in chunks.
	for _, route := range []string{m.path("certificate/server"), "/modules/sensor/certificate/identity"} {
		asked := `{"commonName":"sensor"}`
		status, got := whole(t, m.raw(fmt.Sprintf("POST %s?api-version=2018-06-28 HTTP/1.1\r\nHost: /var/run/iotedge/workload.sock\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", route, len(asked), asked)))
		require.Equal(t, http.StatusCreated, status, got)
		require.Contains(t, got, "BEGIN CERTIFICATE")
	}
	// Refusals too.
	status, got := whole(t, m.raw("POST "+path("other", "g", "sign")+"?api-version=2018-06-28 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	require.Equal(t, http.StatusForbidden, status, got)
}

// whole reads an answer as a client does that knows neither chunks nor more than one answer: the body is all that follows the empty line.
func whole(t *testing.T, answer string) (status int, body string) {
	t.Helper()
	head, body, found := strings.Cut(answer, "\r\n\r\n")
	require.True(t, found, answer)
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	require.NoError(t, err, head)
	defer res.Body.Close()
	require.Empty(t, res.TransferEncoding, head)
	require.EqualValues(t, len(body), res.ContentLength, head)
	read, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, body, string(read))
	return res.StatusCode, body
}

func TestBadBodiesAreRefused(t *testing.T) {
	d := device.New(t, device.Options{})
	m, other := run(t, d, "sensor"), run(t, d, "other")
	ask := func(m *member, contentType, body string) device.Answer {
		return m.probe.Call(device.Call{Socket: m.socket, Method: http.MethodPost, Path: m.path("sign") + "?" + device.Version, Body: body, Header: map[string]string{"Content-Type": contentType}})
	}
	for _, c := range []struct {
		contentType, body string
		want              int
	}{
		{"application/json", signBody(strings.Repeat("x", 700_000)), http.StatusOK},
		{"application/json", signBody(strings.Repeat("x", 800_000)), http.StatusRequestEntityTooLarge},
		{"text/plain", signBody("text"), http.StatusUnsupportedMediaType},
		{"application/x-www-form-urlencoded", "data=" + b64("text"), http.StatusUnsupportedMediaType},
		{"application/json", `{"data":`, http.StatusUnprocessableEntity},
		{"application/json", `{"data":1}`, http.StatusUnprocessableEntity},
		{"application/json", `[]`, http.StatusUnprocessableEntity},
		{"application/json", `{}`, http.StatusBadRequest},
		{"application/json", `{"data":"not base64!"}`, http.StatusBadRequest},
		{"application/json", `{"data":"dGV4dA==","algo":"MD5"}`, http.StatusBadRequest},
		{"application/json", `{"data":"dGV4dA==","keyId":"tertiary"}`, http.StatusBadRequest},
	} {
		a := ask(m, c.contentType, c.body)
		require.Equal(t, c.want, a.Status, "%s %.60s: %s", c.contentType, c.body, a.Body)
		if c.want != http.StatusOK {
			require.NotEmpty(t, a.Message())
		}
	}
	t.Run("a body that does not come is given up, and costs nobody else anything", func(t *testing.T) {
		began := time.Now()
		slow := make(chan string, 8)
		for range cap(slow) {
			go func() {
				_, answer := m.probe.Do(http.MethodPost, "/raw?socket="+url.QueryEscape(m.socket), m.head("sign", "Host: x", "Content-Length: 100")+`{"da`)
				slow <- answer
			}()
		}
		for range 20 {
			require.Equal(t, http.StatusOK, ask(other, "application/json", signBody("text")).Status)
		}
		require.Less(t, time.Since(began), 4*time.Second, "another module does not wait for it")
		for range cap(slow) {
			answer := <-slow
			require.Contains(t, answer, "408 ", answer)
		}
	})
}
