package mgmt

import (
	"encoding/json"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestCreateOptionsAreKeptAsAnObject(t *testing.T) {
	for given, want := range map[string]string{
		``: `{}`, `null`: `{}`, `""`: `{}`, `" "`: `{}`, `"null"`: `{}`, `{}`: `{}`, `"{}"`: `{}`,
		`"{\"Tty\":true}"`:                         `{"Tty":true}`,
		`{"A":null,"B":{"C":null,"D":1}}`:          `{"B":{"D":1}}`,
		`{"L":[null,1,{"A":null,"B":2}]}`:          `{"L":[null,1,{"B":2}]}`,
		`{"N":9007199254740993,"F":1e3,"Z":-0.10}`: `{"F":1e3,"N":9007199254740993,"Z":-0.10}`,
		`{"Unknown":{"x":["y"]}}`:                  `{"Unknown":{"x":["y"]}}`,
		`{"S":"<&>\u0000é"}`:                       `{"S":"\u003c\u0026\u003e\u0000é"}`,
	} {
		got, err := canonicalOptions(json.RawMessage(given))
		require.NoError(t, err, given)
		require.Equal(t, want, string(got), given)
	}
	for _, given := range []string{`5`, `true`, `[]`, `"[]"`, `"5"`, `"x"`, `"\"{}\""`, `"{"`, `"{} x"`, `"{}{}"`, `"{}}"`, `"{}]"`} {
		_, err := canonicalOptions(json.RawMessage(given))
		require.True(t, errdefs.IsInvalidArgument(err), given)
		require.ErrorContains(t, err, "invalid settings.createOptions: it is not a JSON object", given)
	}
}

func FuzzCanonicalOptions(f *testing.F) {
	for _, s := range []string{`{}`, `"{\"A\":null}"`, `{"L":[null,{"A":1e999}]}`, `"{}}"`, `null`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := canonicalOptions(json.RawMessage(s))
		if err != nil {
			require.True(t, errdefs.IsInvalidArgument(err))
			return
		}
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(got, &object))
		again, err := canonicalOptions(got)
		require.NoError(t, err)
		require.Equal(t, string(got), string(again))
		require.True(t, json.Valid(withoutEnv(got)))
	})
}

func TestOptionsAreShownWithoutTheirEnv(t *testing.T) {
	for given, want := range map[string]string{
		`{"Env":["A=secret"],"Cmd":["x"]}`:         `{"Cmd":["x"]}`,
		`{"env":["A=secret"],"ENV":["B=secret"]}`:  `{}`,
		`{"HostConfig":{"Env":1},"Environment":1}`: `{"Environment":1,"HostConfig":{"Env":1}}`,
		`{}`:  `{}`,
		`[1]`: `{}`,
	} {
		require.Equal(t, want, string(withoutEnv(json.RawMessage(given))))
	}
}
