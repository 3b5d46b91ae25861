package workload

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const query = "?api-version=2018-06-28"

func post(t *testing.T, cfg Config, who, path, body string) (int, map[string]string) {
	t.Helper()
	w := send(t, cfg, inside(who, "module"), "POST", path+query, body)
	var answer map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body.String())
	if w.Code == 200 {
		require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
	}
	return w.Code, answer
}

func TestSignAsTheSDKsAsk(t *testing.T) {
	cfg := config(t)
	code, first := post(t, cfg, "target", "/modules/target/genid/g1/sign", `{"keyId":"primary","algo":"HMACSHA256","data":"ZGF0YQ=="}`)
	require.Equal(t, 200, code)
	digest, err := base64.StdEncoding.DecodeString(first["digest"])
	require.NoError(t, err)
	require.Len(t, digest, 32)
	for _, body := range []string{`{"data":"ZGF0YQ=="}`, `{"keyId":"primary","algo":"hmacsha256","data":"ZGF0YQ=="}`} {
		code, answer := post(t, cfg, "target", "/modules/%24target/genid/g1/SIGN", body)
		require.Equal(t, 200, code)
		require.Equal(t, first, answer)
	}
	_, second := post(t, cfg, "target", "/modules/target/genid/g1/sign", `{"keyId":"secondary","data":"ZGF0YQ=="}`)
	require.NotEqual(t, first, second)
	_, others := post(t, cfg, "other", "/modules/other/genid/g1/sign", `{"data":"ZGF0YQ=="}`)
	require.NotEqual(t, first, others)
}

func TestEncryptAndDecrypt(t *testing.T) {
	cfg := config(t)
	_, sealed := post(t, cfg, "target", "/modules/target/genid/g1/encrypt", `{"plaintext":"c2VjcmV0","initializationVector":"aXY="}`)
	open := func(who, path, iv string) (int, map[string]string) {
		return post(t, cfg, who, path, fmt.Sprintf(`{"ciphertext":%q,"initializationVector":%q}`, sealed["ciphertext"], iv))
	}
	code, answer := open("target", "/modules/target/genid/g1/decrypt", "aXY=")
	require.Equal(t, 200, code)
	require.Equal(t, map[string]string{"plaintext": "c2VjcmV0"}, answer)
	code, answer = open("target", "/modules/target/genid/g1/decrypt", "SVY=")
	require.Equal(t, 400, code)
	require.Contains(t, answer["message"], "initializationVector")
	code, _ = open("other", "/modules/other/genid/g1/decrypt", "aXY=")
	require.Equal(t, 400, code)
}

func TestStaleGenerationsAre404AndOtherModulesAre403(t *testing.T) {
	cfg := config(t)
	for _, action := range []string{"sign", "encrypt", "decrypt"} {
		for _, tc := range []struct {
			who, path string
			want      int
		}{
			{"target", "/modules/target/genid/g0/", 404},
			{"target", "/modules/target/genid/g1g1/", 404},
			{"nobody", "/modules/nobody/genid/g1/", 404},
			{"target", "/modules/other/genid/g1/", 403},
			{"target", "/modules/other/genid/g0/", 403},
			{"target", "/modules/targe/genid/tg1/", 403},
			{"edgeAgent", "/modules/target/genid/g1/", 403},
		} {
			// The body is not read before: what is wrong with it tells nobody anything.
			code, _ := post(t, cfg, tc.who, tc.path+action, `{`)
			require.Equal(t, tc.want, code, "%s asks %s%s", tc.who, tc.path, action)
		}
	}
}

func TestBadBodiesAreNamed(t *testing.T) {
	for _, tc := range []struct {
		action, body string
		want         int
		message      string
	}{
		{"sign", ``, 400, "missing request body"},
		{"sign", `[]`, 422, ""},
		{"sign", `{}`, 400, "data"},
		{"sign", `{"data":"ZGF0YQ"}`, 400, "data"},
		{"sign", `{"data":"ZGF0\nYQ=="}`, 400, "data"},
		{"sign", `{"data":"ZGF0YR=="}`, 400, "data"},
		{"sign", `{"data":"ZGF0YQ-_"}`, 400, "data"},
		{"sign", `{"data":"ZGF0YQ==","keyId":"third"}`, 400, "keyId"},
		{"sign", `{"data":"ZGF0YQ==","algo":"HMACSHA512"}`, 400, "algo"},
		{"encrypt", `{"plaintext":"ZGF0YQ=="}`, 400, "initializationVector"},
		{"encrypt", `{"initializationVector":"ZGF0YQ=="}`, 400, "plaintext"},
		{"decrypt", `{"ciphertext":"AQID","initializationVector":"ZGF0YQ=="}`, 400, "cannot decrypt"},
		{"decrypt", `{"ciphertext":"*","initializationVector":"ZGF0YQ=="}`, 400, "ciphertext"},
	} {
		code, answer := post(t, config(t), "target", "/modules/target/genid/g1/"+tc.action, tc.body)
		require.Equal(t, tc.want, code, tc.body)
		require.Contains(t, answer["message"], tc.message)
	}
}
