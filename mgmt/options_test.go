package mgmt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
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

// What just passes Go's limit of 10,000 is deeper in the row of the module, and edged would not start.
func TestCreateOptionsAreNotDeep(t *testing.T) {
	deep := func(n int) json.RawMessage {
		return json.RawMessage(`{"Unknown":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`)
	}
	for _, n := range []int{9999, wire.MaxOptionDepth + 2} {
		_, err := canonicalOptions(deep(n))
		require.ErrorContains(t, err, "nested deeper")
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
	}
	_, err := canonicalOptions(deep(wire.MaxOptionDepth))
	require.NoError(t, err)
}

func TestCreateOptionsMayComeInPieces(t *testing.T) {
	for given, want := range map[string]string{
		`{"createOptions":"{\"Tty\":","createOptions01":"true,\"HostConfig\":","createOptions02":"{}}"}`: `{"HostConfig":{},"Tty":true}`,
		`{"createOptions":"","createOptions01":"{\"Tty\":true}"}`:                                        `{"Tty":true}`,
		`{"createOptions":"{}","createOptions01":null}`:                                                  `{}`,
		`{"CreateOptions":"{\"S\":\"a","CREATEOPTIONS01":"b\"}"}`:                                        `{"S":"ab"}`,
		`{"createOptions":{"Tty":true}}`:                                                                 `{"Tty":true}`,
	} {
		got, err := optionsOf(given)
		require.NoError(t, err, given)
		require.Equal(t, want, string(got), given)
	}
	for given, want := range map[string]string{
		`{"createOptions":{},"createOptions01":"x"}`:    "settings.createOptions is a piece",
		`{"createOptions":"{}","createOptions01":{}}`:   "settings.createOptions01 is a piece",
		`{"createOptions":"{}","createOptions01":5}`:    "settings.createOptions01 is a piece",
		`{"createOptions01":"{}"}`:                      "settings.createOptions is missing",
		`{"createOptions":"{","createOptions02":"}"}`:   "settings.createOptions01 is missing, and settings.createOptions02 continues it",
		`{"createOptions":"{}","createOptions00":"{}"}`: "settings.createOptions01 is missing",
		`{"createOptions":"{}","createOptions01":"{}"}`: "it is not a JSON object",
		`{"createOptions":null,"createOptions01":"{}"}`: "settings.createOptions is a piece",
	} {
		_, err := optionsOf(given)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", given, err)
		require.ErrorContains(t, err, want, given)
	}
}

// optionsOf reads settings as a request has them.
func optionsOf(settings string) (json.RawMessage, error) {
	var s wire.Settings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return nil, err
	}
	whole, err := joinOptions(s.CreateOptions, s.CreateOptionsParts)
	if err != nil {
		return nil, err
	}
	return canonicalOptions(whole)
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
