package catalog

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/peer"
)

const uid1 = "m:f28:1:2f345c78"

// TestWhatIsWrongWithABodyIsSaidInTheOriginalsWords is the table of the original's errors.
func TestWhatIsWrongWithABodyIsSaidInTheOriginalsWords(t *testing.T) {
	r := newRig(t)
	r.want(201, row("m", "1"), "POST", "/modules/", build("m", "1"))
	long := strings.Repeat("x", 301)
	rpm := `"name":"a","epoch":0,"version":"1","release":"1","arch":"x86_64"`
	for body, want := range map[string]string{
		build("m", "1"):        `{"detail":["The fields name, stream, version, context must make a unique set."]}`,
		`null`:                 `{"detail":["No data provided"]}`,
		`"abc"`:                `{"detail":["Invalid input: must be a dict."]}`,
		`5`:                    `{"detail":["Invalid input: must be a dict."]}`,
		``:                     `{"name":["This field is required."],"stream":["This field is required."],"version":["This field is required."],"koji_tag":["This field is required."],"context":["This field is required."],"modulemd":["This field is required."]}`,
		`{`:                    `{"detail":"JSON parse error - it ends too early"}`,
		`{"a":1}x`:             `{"detail":"JSON parse error - extra data (at byte 7)"}`,
		"\"\xff\"":             `{"detail":"JSON parse error - it is not UTF-8"}`,
		`{"name":"\ud800"}`:    `{"detail":"JSON parse error - half of a surrogate pair (at byte 9)"}`,
		build("x\\u0000", "1"): `{"name":["Null characters are not allowed."]}`,
		build("x", "2", `"foo":1`, `"bar":{"a":[1]}`): `{"detail":"Unknown fields: \"foo\", \"bar\"."}`,
		build("x", "2", `"uid":"x"`):                  `{"detail":"Can not update read only fields: \"uid\"."}`,
		`{"name":{},"stream":null,"version":[],"context":true,"koji_tag":"` + long + `","modulemd":" ","active":"maybe"}`: `{"name":["Not a valid string."],"stream":["This field may not be null."],
			"version":["Not a valid string."],"context":["Not a valid string."],"koji_tag":["Ensure this field has no more than 300 characters."],"modulemd":["This field may not be blank."],"active":["\"maybe\" is not a valid boolean."]}`,
		build("x", "2", `"active":[1]`):                                                       `{"active":["\"[1]\" is not a valid boolean."]}`,
		build("x", "2", `"active":2`):                                                         `{"active":["\"2\" is not a valid boolean."]}`,
		build("x", "2", `"active":null`):                                                      `{"active":["This field may not be null."]}`,
		build("x", "2", `"runtime_deps":null`):                                                `{"runtime_deps":["This field may not be null."]}`,
		build("x", "2", `"runtime_deps":{}`):                                                  `{"runtime_deps":{"detail":["Expected a list of items but got type \"dict\"."]}}`,
		build("x", "2", `"build_deps":["x",{"dependency":"a","stream":"b"}]`):                 `{"build_deps":[{"detail":["Invalid data. Expected a dictionary, but got unicode."]},{}]}`,
		build("x", "2", `"runtime_deps":[{"dependency":"a","stream":"b"},{"dependency":""}]`): `{"runtime_deps":[{},{"dependency":["This field may not be blank."],"stream":["This field is required."]}]}`,
		build("x", "2", `"rpms":null`):                                                        `{"rpms":["This field may not be null."]}`,
		build("x", "2", `"rpms":"x"`):                                                         `{"rpms":["Expected a list of items but got type \"unicode\"."]}`,
		build("x", "2", `"rpms":["a-1"]`):                                                     `{"rpms":["Unsupported RPM input."]}`,
		build("x", "2", `"rpms":[{"name":"a","arch":"src"}]`):                                 `{"rpms":{"epoch":"This field is required.","version":"This field is required.","release":"This field is required."}}`,
		build("x", "2", `"rpms":[{`+rpm+`}]`):                                                 `{"rpms":{"srpm_name":["This field is required."]}}`,
		build("x", "2", `"rpms":[{`+rpm+`,"srpm_name":"a"}]`):                                 `{"rpms":["RPM's srpm_nevra should be empty if and only if arch is src"]}`,
		build("x", "2", `"rpms":[{`+strings.Replace(rpm, "x86_64", "src", 1)+`,"srpm_name":"a","srpm_nevra":"x"}]`): `{"rpms":["RPM's srpm_nevra should be empty if and only if arch is src"]}`,
		build("x", "2", `"rpms":[{`+rpm+`,"srpm_name":"a","zzz":1}]`):                                               `{"detail":"Unknown fields: \"zzz\"."}`,
		build("x", "2", `"rpms":[{`+strings.Replace(rpm, `:0`, `:"x"`, 1)+`,"srpm_name":"a"}]`):                     `{"rpms":{"epoch":["A valid integer is required."]}}`,
	} {
		r.want(400, want, "POST", "/modules/", body)
	}
	r.want(200, `{"count":1,"next":null,"previous":null,"results":[`+row("m", "1")+`]}`, "GET", "/modules/", "")
	// Of a request that was refused, the RPMs are not known either.
	r.want(400, `{"koji_tag":["This field is required."]}`, "POST", "/modules/",
		strings.Replace(build("x", "2", `"rpms":[{`+rpm+`,"srpm_name":"a","srpm_nevra":"a-0:1-1.src"}]`), `"koji_tag":"module-ce2adf69caf0e1b5",`, "", 1))
	r.want(400, `{"rpms":{"srpm_name":["This field is required."]}}`, "POST", "/modules/", build("x", "2", `"rpms":[{`+rpm+`}]`))
}

// row is the row of build.
func row(name, version string) string {
	return fmt.Sprintf(`{"uid":"%[1]s:f28:%[2]s:2f345c78","name":"%[1]s","stream":"f28","version":"%[2]s","context":"2f345c78","active":false,"koji_tag":"module-ce2adf69caf0e1b5","modulemd":"data here","runtime_deps":[],"build_deps":[],"rpms":[]}`, name, version)
}

func TestNumbersAndWordsBecomeWhatTheyAreInTheOriginal(t *testing.T) {
	r := newRig(t)
	for given, want := range map[string]string{`20180101`: "20180101", `1.5`: "1.5", `1e3`: "1000.0", `-0`: "0", `1E20`: "1e+20", `123456789012345678901234567890`: "123456789012345678901234567890", `"\u00a0\u001c x "`: "x"} {
		w := r.do("POST", "/modules/", strings.Replace(build("n", "@"), `"@"`, given, 1))
		require.Equal(t, 201, w.Code, w.Body)
		require.Equal(t, want, w.json().(map[string]any)["version"], given)
	}
	for word, want := range map[string]bool{`"t"`: true, `"YES"`: true, `"on"`: true, `1`: true, `1.0`: true, `"off"`: false, `0`: false, `"N"`: false} {
		w := r.do("PATCH", "/modules/n:f28:x:2f345c78/", `{"active":`+word+`}`)
		require.Equal(t, 200, w.Code, w.Body)
		require.Equal(t, want, w.json().(map[string]any)["active"], word)
	}
}

func TestARowIsChangedByPutAndPatch(t *testing.T) {
	r := newRig(t)
	rpms := `"rpms":[{"name":"b","epoch":"1","version":"2","release":"3","arch":"x86_64","srpm_name":"b","srpm_nevra":"b-1:2-3.src"},{"name":"a","epoch":0,"version":"1","release":"1","arch":"src","srpm_name":"a"}]`
	deps := `"runtime_deps":[{"dependency":"platform","stream":"f28"}]`
	r.want(201, strings.NewReplacer(`"runtime_deps":[]`, deps, `"rpms":[]`, `"rpms":["a-0:1-1.src.rpm","b-1:2-3.x86_64.rpm"]`).Replace(row("m", "1")), "POST", "/modules/", build("m", "1", rpms, deps))
	// PATCH of one field leaves the rest, and lists are replaced whole.
	r.want(200, strings.NewReplacer(`"runtime_deps":[]`, `"runtime_deps":[{"dependency":"p","stream":"1"},{"dependency":"p","stream":"1"}]`, `"rpms":[]`, `"rpms":["a-0:1-1.src.rpm"]`, `false`, `true`).Replace(row("m", "1")), "PATCH", "/modules/"+uid1+"/",
		`{"active":"yes","runtime_deps":[{"dependency":"p","stream":"1"},{"dependency":"p","stream":"1"}],"rpms":[{"name":"a","epoch":0,"version":"1","release":"1","arch":"src"},{"name":"a","epoch":"0","version":"1","release":"1","arch":"src"}]}`)
	found := func(query string, n int) {
		t.Helper()
		require.EqualValues(t, n, r.do("GET", "/modules/?"+query, "").json().(map[string]any)["count"], query)
	}
	found("runtime_dep_name=platform", 0)
	found("runtime_dep_name=p", 1)
	found("component_name=b", 0)
	// PUT needs all six, and keeps what it does not name of the rest.
	r.want(400, `{"koji_tag":["This field is required."]}`, "PUT", "/modules/"+uid1+"/", `{"name":"m","stream":"f28","version":"1","context":"2f345c78","modulemd":"x"}`)
	w := r.do("PUT", "/modules/"+uid1+"/", build("m", "2"))
	require.Equal(t, 200, w.Code, w.Body)
	require.JSONEq(t, strings.NewReplacer(`"runtime_deps":[]`, `"runtime_deps":[{"dependency":"p","stream":"1"},{"dependency":"p","stream":"1"}]`, `"rpms":[]`, `"rpms":["a-0:1-1.src.rpm"]`, `false`, `true`).Replace(row("m", "2")), w.Body.String())
	// The row has moved.
	r.want(404, `{"detail":"Not found."}`, "GET", "/modules/"+uid1+"/", "")
	r.want(404, `{"detail":"Not found."}`, "PUT", "/modules/"+uid1+"/", build("m", "1"))
	r.want(201, row("m", "1"), "POST", "/modules/", build("m", "1"))
	r.want(400, `{"detail":["The fields name, stream, version, context must make a unique set."]}`, "PATCH", "/modules/"+uid1+"/", `{"version":"2"}`)
	r.want(204, "", "DELETE", "/modules/m:f28:2:2f345c78/", "")
	r.want(404, `{"detail":"Not found."}`, "DELETE", "/modules/m:f28:2:2f345c78/", "")
	found("component_name=a", 0)
	// An RPM stays known when its rows are gone.
	w = r.do("PATCH", "/modules/"+uid1+"/", `{"rpms":[{"name":"b","epoch":1,"version":"2","release":"3","arch":"x86_64"}]}`)
	require.Equal(t, 200, w.Code, w.Body)
	found("component=b", 1)

	w = r.do("PATCH", "/modules/"+uid1+"/", `{}`)
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"detail":"Partial update with no changes does not make much sense."}`, w.Body.String())
	require.Equal(t, "Partial update with no changes does not make much sense.", w.Header().Get("pdc-warning"))
}

// TestARowWithASlashInItsNameIsFoundByItsEscapedUID: the original makes such a row and
// then fails, because it has no URL for it.
func TestARowWithASlashInItsNameIsFoundByItsEscapedUID(t *testing.T) {
	r := newRig(t)
	w := r.do("POST", "/modules/", strings.Replace(build("a/b", "1"), "f28", "release/1", 1))
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, "a/b:release/1:1:2f345c78", w.json().(map[string]any)["uid"])
	const path = "/modules/a%2Fb:release%2f1:1:2f345c78/"
	require.Equal(t, 200, r.do("PATCH", path, `{"active":true}`).Code)
	require.Equal(t, true, r.do("GET", path, "").json().(map[string]any)["active"])
	require.Equal(t, 404, r.do("GET", "/modules/a/b:release/1:1:2f345c78/", "").Code)
	require.Equal(t, 204, r.do("DELETE", path, "").Code)
}

func TestManyRowsAreWrittenAllOrNone(t *testing.T) {
	r := newRig(t)
	count := func(want int) {
		t.Helper()
		require.EqualValues(t, want, r.do("GET", "/modules/", "").json().(map[string]any)["count"])
	}
	r.want(201, `[]`, "POST", "/modules/", `[]`)
	r.want(201, `[`+row("b", "1")+`,`+row("a", "1")+`]`, "POST", "/modules/", `[`+build("b", "1")+`,`+build("a", "1")+`]`)
	r.want(400, `{"detail":["The fields name, stream, version, context must make a unique set."],"id_of_invalid_data":1,"invalid_data":`+build("c", "1")+`}`, "POST", "/modules/", `[`+build("c", "1")+`,`+build("c", "1")+`]`)
	r.want(400, `{"detail":{"name":["This field is required."]},"id_of_invalid_data":0,"invalid_data":{"stream":"s","version":1,"context":"c","koji_tag":"k","modulemd":"m"}}`, "POST", "/modules/", `[{"stream":"s","version":1,"context":"c","koji_tag":"k","modulemd":"m"}]`)
	r.want(400, `{"detail":["Invalid input: must be a dict."],"id_of_invalid_data":0,"invalid_data":5}`, "POST", "/modules/", `[5]`)
	r.want(400, `{"detail":["No data provided"],"id_of_invalid_data":1}`, "POST", "/modules/", `[`+build("c", "1")+`,null]`)
	r.want(400, `{"detail":"JSON parse error - it ends too early"}`, "POST", "/modules/", `[`+build("c", "1"))
	w := r.do("POST", "/modules/", `[`+build("c", "1")+`] x`)
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "JSON parse error")
	w = r.do("POST", "/modules/", `[`+build("c\xff", "1")+`]`)
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "JSON parse error")
	count(2)

	a, b := "a:f28:1:2f345c78", "b:f28:1:2f345c78"
	r.want(200, `{"`+a+`":`+row("a", "2")+`,"`+b+`":`+row("b", "2")+`}`, "PATCH", "/modules/", `{"`+a+`":{"version":2},"`+b+`":{"version":"2"}}`)
	a, b = "a:f28:2:2f345c78", "b:f28:2:2f345c78"
	r.want(404, `{"detail":"Not found.","id_of_invalid_data":"zz","invalid_data":{"version":"3"}}`, "PATCH", "/modules/", `{"`+a+`":{"version":"3"},"zz":{"version":"3"}}`)
	r.want(400, `{"detail":"Partial update with no changes does not make much sense.","id_of_invalid_data":"`+a+`"}`, "PATCH", "/modules/", `{"`+a+`":{}}`)
	r.want(400, `{"detail":{"version":["Not a valid string."]},"id_of_invalid_data":"`+a+`","invalid_data":{"version":true}}`, "PATCH", "/modules/", `{"`+b+`":{"active":true},"`+a+`":{"version":true}}`)
	r.want(200, `{"`+a+`":`+row("a", "2")+`}`, "PUT", "/modules/", `{"`+a+`":`+build("a", "2")+`}`)
	r.want(200, `{}`, "PUT", "/modules/", `{}`)
	r.want(200, `{}`, "PUT", "/modules/", ``)
	r.want(400, `{"detail":"Bulk update needs a mapping."}`, "PUT", "/modules/", `[1]`)
	for _, nothing := range []string{``, `{}`, `[]`, `null`} {
		w := r.do("PATCH", "/modules/", nothing)
		require.Equal(t, 400, w.Code)
		require.JSONEq(t, `{"detail":"Partial update with no changes does not make much sense."}`, w.Body.String())
		require.Empty(t, w.Header().Get("Pdc-Warning"), "that header is for single rows")
	}

	for body, want := range map[string]string{
		``: `{"detail":"Bulk delete needs a list of identifiers."}`, `{}`: `{"detail":"Bulk delete needs a list of identifiers."}`,
		`[{"a":1}]`:          `{"detail":"\"{\"a\":1}\" is not a valid identifier."}`,
		`["` + a + `", 1.5]`: `{"detail":"\"1.5\" is not a valid identifier."}`,
	} {
		r.want(400, want, "DELETE", "/modules/", body)
	}
	r.want(404, `{"detail":"Not found.","id_of_invalid_data":"7"}`, "DELETE", "/modules/", `["`+a+`",7]`)
	count(2)
	r.want(204, "", "DELETE", "/modules/", `["`+a+`","`+a+`"]`)
	r.want(204, "", "DELETE", "/modules/", `[]`)
	count(1)
}

func TestBodiesMayBeForms(t *testing.T) {
	r := newRig(t)
	fields := map[string]string{"name": "form", "stream": "f28", "version": "1", "context": "2f345c78", "koji_tag": "k", "modulemd": " text\nof lines ", "active": "on"}
	form := url.Values{}
	for k, v := range fields {
		form.Set(k, v)
	}
	w := r.as("root", "POST", "/rest_api/v1/modules/", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, true, w.json().(map[string]any)["active"])
	require.Equal(t, "text\nof lines", w.json().(map[string]any)["modulemd"])

	var b strings.Builder
	m := multipart.NewWriter(&b)
	for k, v := range fields {
		if k == "name" {
			v = "parts"
		}
		require.NoError(t, m.WriteField(k, v))
	}
	require.NoError(t, m.Close())
	w = r.as("root", "POST", "/rest_api/v1/modules/", m.FormDataContentType(), strings.NewReader(b.String()))
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, "parts:f28:1:2f345c78", w.json().(map[string]any)["uid"])

	for body, want := range map[string]string{
		"active=":        `{"detail":"Partial update with no changes does not make much sense."}`,
		"rpms=x":         `{"rpms":["Unsupported RPM input."]}`,
		"runtime_deps=x": `{"runtime_deps":{"detail":["Expected a list of items but got type \"unicode\"."]}}`,
		"a=1&b=2":        `{"detail":"Unknown fields: \"a\", \"b\"."}`,
		"version=%ff":    `{"detail":"Form parse error - it is not UTF-8"}`,
	} {
		w := r.as("root", "PATCH", "/rest_api/v1/modules/form:f28:1:2f345c78/", "application/x-www-form-urlencoded", strings.NewReader(body))
		require.Equal(t, 400, w.Code, body)
		require.JSONEq(t, want, w.Body.String(), body)
	}
	w = r.as("root", "PUT", "/rest_api/v1/modules/", "application/x-www-form-urlencoded", strings.NewReader("a=b"))
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"detail":"Bulk update needs a mapping."}`, w.Body.String())

	w = r.as("root", "POST", "/rest_api/v1/modules/", "text/plain", strings.NewReader("x"))
	require.Equal(t, 415, w.Code)
	require.JSONEq(t, `{"detail":"Unsupported media type \"text/plain\" in request."}`, w.Body.String())
	// 403 comes first.
	require.Equal(t, 403, r.as("other", "POST", "/rest_api/v1/modules/", "text/plain", strings.NewReader("x")).Code)
}

func TestWhatIsTooLargeIsRefusedAndChangesNothing(t *testing.T) {
	r := newRig(t)
	md := strings.Repeat("m", 4<<20)
	w := r.do("POST", "/modules/", strings.Replace(build("big", "1"), "data here", md, 1))
	require.Equal(t, 201, w.Code, "4 MiB of modulemd are taken")
	require.Equal(t, md, r.do("GET", "/modules/big:f28:1:2f345c78/", "").json().(map[string]any)["modulemd"])
	r.want(400, `{"modulemd":["Ensure this field has no more than 4194304 bytes."]}`, "POST", "/modules/", strings.Replace(build("big", "2"), "data here", md+"m", 1))
	w = r.do("POST", "/modules/", strings.Replace(build("big", "2"), "data here", md+md, 1))
	require.Equal(t, 413, w.Code)
	require.Contains(t, w.Body.String(), `{"detail":"request body is larger than`)
	w = r.as("root", "POST", "/rest_api/v1/modules/", "application/json", io.LimitReader(zeros{}, 25<<20))
	require.Equal(t, 413, w.Code)
	// An array may be longer than one row: it does not stay in memory.
	many := make([]string, 3)
	for i := range many {
		many[i] = strings.Replace(build("big", fmt.Sprint(10+i)), "data here", md, 1)
	}
	w = r.do("POST", "/modules/", "["+strings.Join(many, ",")+"]")
	require.Equal(t, 201, w.Code)
	require.Len(t, w.json().([]any), 3)
	// Four rows of 4 MiB come in pieces.
	w = r.do("GET", "/modules/?page_size=-1", "")
	require.Empty(t, w.Header().Get("Content-Length"))
	require.Len(t, w.json().([]any), 4)
}

// TestABodyIsNotKeptWhenTheDiskIsNearlyFull: what modules need of the disk comes first.
func TestABodyIsNotKeptWhenTheDiskIsNearlyFull(t *testing.T) {
	r := newRig(t)
	left := 3
	r.room = func() error {
		if left--; left < 0 {
			return fmt.Errorf("the disk is nearly full: %w", errdefs.ErrUnavailable)
		}
		return nil
	}
	long := "[" + build("m", "1") + strings.Repeat(" ", 5<<20)
	w := r.do("POST", "/modules/", long+"]")
	require.Equal(t, 503, w.Code, w.Body)
	require.JSONEq(t, `{"detail":"the disk is nearly full"}`, w.Body.String())
	left = 7
	require.Equal(t, 201, r.do("POST", "/modules/", long+"]").Code)
	left = 1 // for the body, not for the answer, which grows in the transaction
	w = r.do("PATCH", "/modules/", `{"m:f28:1:2f345c78":{"modulemd":"`+strings.Repeat("<\\n", 500_000)+`"}}`)
	require.Equal(t, 503, w.Code)
	require.Contains(t, r.do("GET", "/modules/", "").Body.String(), `"modulemd":"data here"`)
}

// slow is a client that does not read.
type slow struct {
	*httptest.ResponseRecorder
	begun, end chan struct{}
}

func (s slow) Write(b []byte) (int, error) {
	close(s.begun)
	<-s.end
	return len(b), nil
}

func TestAClientThatReadsItsAnswerSlowlyKeepsNobodyWaiting(t *testing.T) {
	r := newRig(t)
	w := slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	var answered sync.WaitGroup
	answered.Go(func() {
		req := httptest.NewRequestWithContext(peer.NewContext(t.Context(), callers["root"]), "POST", "http://localhost/rest_api/v1/modules/", strings.NewReader("["+build("m", "1")+"]"))
		r.handler.ServeHTTP(w, req)
	})
	<-w.begun
	next := make(chan int, 1)
	answered.Go(func() { next <- r.do("POST", "/modules/", "["+build("m", "2")+"]").Code })
	select {
	case status := <-next:
		require.Equal(t, 201, status)
	case <-time.After(10 * time.Second):
		t.Error("the next request for many rows waits")
	}
	close(w.end)
	answered.Wait()
}

// TestABodyThatIsMadeToBeSlowIsRefusedAtOnce: what takes no time or memory to send shall take
// none to read. The first of these took six minutes, others gigabytes.
func TestABodyThatIsMadeToBeSlowIsRefusedAtOnce(t *testing.T) {
	r := newRig(t)
	many := strings.Repeat("0,", 400_000) + "0"
	item := `{"name":[` + many + `]}`
	for name, c := range map[string]struct {
		status                    int
		method, path, media, body string
		says                      string
	}{
		"digits":           {400, "POST", "/modules/", "application/json", `{"name":` + strings.Repeat("9", 7<<20) + `}`, "no more than 300 characters"},
		"values":           {400, "POST", "/modules/", "application/json", item, "JSON parse error - there are more than 300000 values"},
		"values of one":    {400, "POST", "/modules/", "application/json", `[` + build("m", "1") + `,` + item + `]`, "JSON parse error - there are more than 300000 values"},
		"one of many":      {413, "POST", "/modules/", "application/json", `[` + build("m", "1") + `,{"name":"` + strings.Repeat("x", 9<<20) + `"}]`, "larger than 8388608 bytes"},
		"one of a mapping": {413, "PATCH", "/modules/", "application/json", `{"a":{"name":"` + strings.Repeat("x", 9<<20) + `"}}`, "larger than 8388608 bytes"},
		"fields":           {400, "POST", "/modules/", "multipart/form-data; boundary=x", parts(100_000), "Form parse error - there are more than 1000 fields"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := r.as("root", c.method, "/rest_api/v1"+c.path, c.media, strings.NewReader(c.body))
			runtime.ReadMemStats(&after)
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.says)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(150<<20))
		})
	}
	require.Empty(t, r.do("GET", "/modules/?page_size=-1", "").json())
	// One that is as long as it may be, and others behind it.
	long := strings.Replace(build("long", "1"), "data here", strings.Repeat("x", 4<<20), 1)
	long = strings.Replace(long, ":", ":"+strings.Repeat(" ", 8<<20-len(long)), 1)
	require.Len(t, r.do("POST", "/modules/", "["+long+" , "+build("m", "1")+","+strings.Replace(long, "long", "next", 1)+"]").json(), 3)
}

func parts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%x\r\n\r\n\r\n", i)
	}
	return b.String() + "--x--\r\n"
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAModulemdThatDisagreesIsKeptAndWarnedOf(t *testing.T) {
	r := newRig(t)
	md := "document: modulemd\\nversion: 2\\ndata:\\n  name: other\\n  stream: f28\\n  version: 1\\n  context: 2f345c78\\n"
	w := r.do("POST", "/modules/", strings.Replace(build("m", "1"), "data here", md, 1))
	require.Equal(t, 201, w.Code, w.Body)
	const warning = `199 edged "name is 'other' in modulemd and 'm' in the row"`
	require.Equal(t, warning, w.Header().Get("Warning"))
	require.Equal(t, strings.TrimSpace(strings.ReplaceAll(md, `\n`, "\n")), w.json().(map[string]any)["modulemd"])
	require.Equal(t, warning, r.do("GET", "/modules/"+uid1+"/", "").Header().Get("Warning"))
	w = r.do("PATCH", "/modules/"+uid1+"/", `{"name":"other"}`)
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Header().Get("Warning"))
	w = r.do("POST", "/modules/", `[`+strings.Replace(build("m", "1"), "data here", md, 1)+`]`)
	require.Equal(t, `199 edged "m:f28:1:2f345c78: name is 'other' in modulemd and 'm' in the row"`, w.Header().Get("Warning"))
}

func TestWhyARowWasChangedIsInTheAuditLog(t *testing.T) {
	r := newRig(t)
	w := r.do("POST", "/modules/", build("m", "1"), "PDC-Change-Comment", "release 7 \x1b[31m\xff"+strings.Repeat("x", 1000))
	require.Equal(t, 201, w.Code)
	line := r.log.String()
	require.Contains(t, line, `"build":"m:f28:1:2f345c78"`)
	require.Contains(t, line, `"comment":"release 7  [31m`)
	require.Less(t, len(line), 1200)
	r.want(201, `[`+row("a", "1")+`,`+row("b", "1")+`]`, "POST", "/modules/", `[`+build("a", "1")+`,`+build("b", "1")+`]`)
	require.Contains(t, r.log.String(), `"build":"2 rows"`)
	before := r.log.String()
	require.Equal(t, 400, r.do("POST", "/modules/", `{}`).Code)
	require.Equal(t, before, r.log.String(), "nothing was changed")
}
