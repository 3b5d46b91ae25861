package catalog

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzBodies: whatever comes, in whichever form, the answer is the client's fault or a row.
func FuzzBodies(f *testing.F) {
	r := newRig(f)
	for _, seed := range []string{
		build("m", "1", `"rpms":[{"name":"a","epoch":"1","version":"1","release":"1","arch":"src","srpm_name":"a"}]`, `"runtime_deps":[{"dependency":"a","stream":"b"}]`),
		"[" + build("m", "2") + "," + build("m", "3") + "]", `{"m:f28:1:2f345c78":{"active":true}}`, `["m:f28:1:2f345c78"]`,
		"name=a&stream=b&version=1&context=c&koji_tag=k&modulemd=%ff", "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n--x--\r\n",
	} {
		for kind := range 3 {
			for target := range 6 {
				f.Add([]byte(seed), kind, target)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind, target int) {
		media := []string{mediaJSON, mediaForm, mediaMultipart + "; boundary=x"}[uint(kind)%3]
		to := []string{"POST /modules/", "PUT /modules/", "PATCH /modules/", "DELETE /modules/", "PUT /modules/" + uid1 + "/", "PATCH /modules/" + uid1 + "/"}[uint(target)%6]
		method, path, _ := strings.Cut(to, " ")
		inner := &rig{t: t, handler: r.handler}
		w := inner.as("root", method, "/rest_api/v1"+path, media, bytes.NewReader(body))
		if w.Code >= 500 {
			t.Fatalf("%s: %d %s", to, w.Code, w.Body)
		}
	})
}

// FuzzQueries: what stands in a URL becomes conditions and orders of SQL, or an error of the client's.
func FuzzQueries(f *testing.F) {
	r := newRig(f)
	if w := r.do(http.MethodPost, "/modules/", build("m", "1", `"runtime_deps":[{"dependency":"a","stream":"b"}]`)); w.Code != http.StatusCreated {
		f.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, seed := range [][2]string{
		{"name", "m"},
		{"uid", "M:f28"},
		{"active", "t"},
		{"ordering", "-runtime_deps__stream,name"},
		{"fields", "name,uid"},
		{"exclude_fields", "modulemd"},
		{"page", "last"},
		{"page_size", "-1"},
		{"component", "bash/f28"},
		{"rpm_filename", "a-1-1.x86_64.rpm"},
		{"runtime_dep_name", "a'--"},
		{"koji_tag", "\x00%\xff"},
	} {
		f.Add(seed[0], seed[1], "stream", "f28")
	}
	f.Fuzz(func(t *testing.T, key, value, key2, value2 string) {
		query := url.Values{key: {value}}
		query.Add(key2, value2)
		inner := &rig{t: t, handler: r.handler}
		if w := inner.as("root", http.MethodGet, "/rest_api/v1/modules/?"+query.Encode(), "", nil); w.Code >= 500 {
			t.Fatalf("%v: %d %s", query, w.Code, w.Body)
		}
	})
}
