package catalog

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// uids are those of a list's answer.
func uids(t *testing.T, v any) []string {
	t.Helper()
	if page, ok := v.(map[string]any); ok {
		v = page["results"]
	}
	got := []string{}
	for _, row := range v.([]any) {
		got = append(got, strings.TrimSuffix(row.(map[string]any)["uid"].(string), ":f28:1:2f345c78"))
	}
	return got
}

func TestPagesAreFollowedByTheirLinks(t *testing.T) {
	r := newRig(t)
	var all []string
	for i := range 45 {
		all = append(all, build(fmt.Sprintf("m%02d", i), "1"))
	}
	require.Equal(t, 201, r.do("POST", "/modules/", "["+strings.Join(all, ",")+"]").Code)
	first := r.do("GET", "/modules/?stream=f28&page_size=20&active=false", "").json().(map[string]any)
	require.EqualValues(t, 45, first["count"])
	require.Nil(t, first["previous"])
	require.Equal(t, "http://localhost/rest_api/v1/modules/?active=false&page=2&page_size=20&stream=f28", first["next"])
	var seen []string
	next := any("http://localhost/rest_api/v1/modules/")
	var last map[string]any
	for next != nil {
		u, err := url.Parse(next.(string))
		require.NoError(t, err)
		last = r.as("other", "GET", u.RequestURI(), "", nil).json().(map[string]any)
		seen = append(seen, uids(t, last)...)
		next = last["next"]
	}
	require.Len(t, seen, 45)
	require.Equal(t, "m00", seen[0])
	require.Equal(t, "m44", seen[44])
	require.Equal(t, "http://localhost/rest_api/v1/modules/?page=2", last["previous"])
	second := r.do("GET", "/modules/?page=2", "").json().(map[string]any)
	require.Equal(t, "http://localhost/rest_api/v1/modules/", second["previous"], "the first page has no number")
	require.Equal(t, last["results"], r.do("GET", "/modules/?page=last", "").json().(map[string]any)["results"])

	for query, want := range map[string]int{"page_size=0": 45, "page_size=-1": 45, "page_size=100000": 45, "page_size=x": 20, "page_size=": 20, "page_size=5&page_size=7": 7, "page=1&page=3": 5} {
		require.Len(t, uids(t, r.do("GET", "/modules/?"+query, "").json()), want, query)
	}
	for _, page := range []string{"999", "x", "0", "-1", "", "4"} {
		r.want(404, `{"detail":"Invalid page."}`, "GET", "/modules/?page="+page, "")
	}
	// Where an int has 32 bits, this one times the size is -96, and was taken for a count.
	r.want(404, `{"detail":"Invalid page."}`, "GET", "/modules/?stream=F28&page=42949673&page_size=100", "")
	require.EqualValues(t, 45, r.do("GET", "/modules/?stream=F28", "").json().(map[string]any)["count"])
	w := r.do("GET", "/modules/?page_size=-1", "")
	require.Equal(t, byte('['), w.Body.Bytes()[0])
	require.NotEmpty(t, w.Header().Get("Content-Length"))
}

func TestParametersThatMeanNothingAreRefused(t *testing.T) {
	r := newRig(t)
	require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1")).Code)
	for path, want := range map[string]string{
		"/modules/?foo=1&bar=2":             "Unknown query params: bar, foo.",
		"/modules/?format=json":             "Unknown query params: format.",
		"/modules/" + uid1 + "/?foo=1":      "Unknown query params: foo.",
		"/modules/?fields=uid,zzz":          `Unknown fields in "fields" filter: zzz`,
		"/modules/?exclude_fields=zzz":      `Unknown fields in "exclude_fields" filter: zzz`,
		"/modules/?active=maybe":            "maybe is not a valid boolean value",
		"/modules/?ordering=zz__x":          "Unknown ordering key: zz",
		"/modules/?ordering=rpms__zz":       "Unknown ordering key: zz",
		"/modules/?ordering=name__zz":       "Unknown ordering key: zz",
		"/modules/" + uid1 + "/?active=abc": "abc is not a valid boolean value",
	} {
		r.want(400, fmt.Sprintf(`{"detail":%q}`, want), "GET", path, "")
	}
	for _, order := range []string{"zzz", "", "name,", "name,-zzz"} {
		w := r.do("GET", "/modules/?ordering="+order, "")
		require.Equal(t, 400, w.Code)
		require.Contains(t, w.Body.String(), "Unknown query key: [u'"+strings.TrimPrefix(order[strings.LastIndex(order, ",")+1:], "-")+"'] not in fields: [", order)
	}
	r.want(400, `{"detail":"Unknown query params: x."}`, "POST", "/modules/?x=1", build("m", "2"))
}

func TestFieldsAreShownAndHidden(t *testing.T) {
	r := newRig(t)
	require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1")).Code)
	for query, want := range map[string]string{
		"fields=uid": `{"uid":"m:f28:1:2f345c78"}`, "fields=name&fields=active": `{"name":"m","active":false}`, "fields=rpms,stream,": `{"stream":"f28","rpms":[]}`,
		"fields=uid,name&exclude_fields=uid": `{"name":"m"}`, "fields=uid&exclude_fields=uid": `{}`,
		"exclude_fields=modulemd,koji_tag,runtime_deps,build_deps&exclude_fields=rpms": `{"uid":"m:f28:1:2f345c78","name":"m","stream":"f28","version":"1","context":"2f345c78","active":false}`,
	} {
		require.Equal(t, want, r.do("GET", "/modules/"+uid1+"/?"+query, "").Body.String(), query)
		require.Equal(t, `{"count":1,"next":null,"previous":null,"results":[`+want+`]}`, r.do("GET", "/modules/?"+query, "").Body.String(), query)
	}
	require.Equal(t, `{"uid":"m:f28:2:2f345c78"}`, r.do("POST", "/modules/?fields=uid", build("m", "2")).Body.String())
	require.Equal(t, `[{"name":"m"}]`, r.do("POST", "/modules/?fields=name", `[`+build("m", "3")+`]`).Body.String())
}

// TestAQuestionMayHaveAsManyValuesAsAHeaderHasRoomFor and is answered, and not with an error
// of the database.
func TestAQuestionMayHaveAsManyValuesAsAHeaderHasRoomFor(t *testing.T) {
	r := newRig(t)
	rpm := `"rpms":[{"name":"c","epoch":0,"version":"1","release":"1","arch":"x86_64","srpm_name":"s","srpm_nevra":"s-0:1-1.src","srpm_commit_branch":"b"}]`
	require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1", rpm)).Code)
	for _, name := range []string{"component", "component_name", "runtime_dep_name"} {
		var plain, branches []string
		for i := range 2500 {
			plain, branches = append(plain, fmt.Sprintf("%s=%d", name, i)), append(branches, fmt.Sprintf("%s=%d/b", name, i))
		}
		for query, want := range map[string]int{
			strings.Join(plain, "&"): 0, strings.Join(branches, "&"): 0,
			strings.Join(plain, "&") + "&component=c": 1, strings.Join(branches, "&") + "&component=c/b": 1, "component=x&component=c/x&" + strings.Join(branches, "&"): 0,
		} {
			if name != "component" && strings.Contains(query, "component=") {
				continue
			}
			w := r.do("GET", "/modules/?"+query, "")
			require.Equal(t, 200, w.Code, w.Body)
			require.Len(t, uids(t, w.json()), want)
			require.Equal(t, map[bool]int{true: 200, false: 404}[want == 1], r.do("GET", "/modules/"+uid1+"/?"+query, "").Code)
		}
	}
	for _, key := range []string{"name", "rpms__name", "-rpms"} {
		w := r.do("GET", "/modules/?ordering="+strings.Repeat(key+",", 4000)+key, "")
		require.Equal(t, 200, w.Code, w.Body)
	}
}

// TestFiltersHoldForOneRowToo as in the original, where they narrow what there is.
func TestFiltersHoldForOneRowToo(t *testing.T) {
	r := newRig(t)
	require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1")).Code)
	require.Equal(t, 200, r.do("GET", "/modules/"+uid1+"/?active=false&name=M", "").Code)
	require.Equal(t, 404, r.do("GET", "/modules/"+uid1+"/?active=true", "").Code)
	require.Equal(t, 404, r.do("DELETE", "/modules/"+uid1+"/?component_name=x", "").Code)
	require.Equal(t, 404, r.do("PATCH", "/modules/?active=true", `{"`+uid1+`":{"active":true}}`).Code)
}

func TestPathsAreAsTheOriginalsAre(t *testing.T) {
	r := newRig(t)
	require.Equal(t, 201, r.do("POST", "/modules/", build("m", "1")).Code)
	r.want(200, `{"modules":"http://localhost/rest_api/v1/modules/"}`, "GET", "/", "")
	require.Len(t, r.do("GET", "/auth/token/obtain/", "").json().(map[string]any)["token"], 40)
	for method, path := range map[string]string{
		"GET": "/modules/" + uid1 + "?fields=uid", "POST": "/modules?x=%2F", "PUT": "/modules", "PATCH": "/modules/a%2Fb", "DELETE": "/modules/" + uid1, "HEAD": "/auth/token/obtain", "OPTIONS": "",
	} {
		w := r.do(method, path, "")
		require.Equal(t, 301, w.Code, path)
		slashed, query, ok := strings.Cut(path, "?")
		slashed += "/"
		if ok {
			slashed += "?" + query
		}
		require.Equal(t, "/rest_api/v1"+slashed, w.Header().Get("Location"))
		require.Empty(t, w.Body.String())
	}
	for _, path := range []string{"/modules//", "//modules/", "/modules/../modules/", "/modules/..", "/nope/", "/nope", "/modules/a/b/", "/auth/token/"} {
		r.want(404, `{"detail":"Not found."}`, "GET", path, "")
	}
	w := r.do("POST", "/modules/"+uid1+"/", "{}")
	require.Equal(t, 405, w.Code)
	require.JSONEq(t, `{"detail":"Method \"POST\" not allowed."}`, w.Body.String())
	require.Equal(t, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS", w.Header().Get("Allow"))
	require.Equal(t, 405, r.as("foreign", "POST", "/rest_api/v1/modules/x/", "", nil).Code, "before who asks")
	w = r.do("OPTIONS", "/modules/", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "Module List", w.json().(map[string]any)["name"])
	require.Equal(t, "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS", w.Header().Get("Allow"))
	w = r.do("GET", "/modules/", "", "Accept", "text/html, application/xhtml+xml")
	require.Equal(t, 406, w.Code)
	require.Equal(t, 200, r.do("GET", "/modules/", "", "Accept", "text/html, */*;q=0.5").Code)
	require.Equal(t, 200, r.do("GET", "/modules/", "", "Authorization", "Token 123").Code, "who asks is known")
}
