package workload

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/gorilla/mux"

	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
)

// The bodies of sign, encrypt and decrypt. Bytes are base64 text.
type (
	signRequest struct {
		KeyID string `json:"keyId"`
		Algo  string `json:"algo"`
		Data  string `json:"data"`
	}
	signAnswer struct {
		Digest string `json:"digest"`
	}
	encryptRequest struct {
		Plaintext string `json:"plaintext"`
		IV        string `json:"initializationVector"`
	}
	encryptAnswer struct {
		Ciphertext string `json:"ciphertext"`
	}
	decryptRequest struct {
		Ciphertext string `json:"ciphertext"`
		IV         string `json:"initializationVector"`
	}
	decryptAnswer struct {
		Plaintext string `json:"plaintext"`
	}
)

// hmacSHA256 is the one algorithm that clients know.
const hmacSHA256 = "HMACSHA256"

func (a *api) sign(w http.ResponseWriter, r *httpapi.Request) error {
	id, err := a.current(r)
	if err != nil {
		return err
	}
	var body signRequest
	if err := r.JSON(&body); err != nil {
		return err
	}
	if body.Algo != "" && !strings.EqualFold(body.Algo, hmacSHA256) {
		return invalid("algo", "it is "+hmacSHA256)
	}
	key := body.KeyID
	if key == "" {
		key = identity.PrimaryKey
	}
	data, err := decode("data", body.Data)
	if err != nil {
		return err
	}
	digest, err := a.Keys.Sign(r.Context(), id, key, data)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, signAnswer{base64.StdEncoding.EncodeToString(digest)})
	return nil
}

func (a *api) encrypt(w http.ResponseWriter, r *httpapi.Request) error {
	id, err := a.current(r)
	if err != nil {
		return err
	}
	var body encryptRequest
	if err := r.JSON(&body); err != nil {
		return err
	}
	plaintext, iv, err := decodeBoth("plaintext", body.Plaintext, body.IV)
	if err != nil {
		return err
	}
	ciphertext, err := a.Keys.Encrypt(r.Context(), id, plaintext, iv)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, encryptAnswer{base64.StdEncoding.EncodeToString(ciphertext)})
	return nil
}

func (a *api) decrypt(w http.ResponseWriter, r *httpapi.Request) error {
	id, err := a.current(r)
	if err != nil {
		return err
	}
	var body decryptRequest
	if err := r.JSON(&body); err != nil {
		return err
	}
	ciphertext, iv, err := decodeBoth("ciphertext", body.Ciphertext, body.IV)
	if err != nil {
		return err
	}
	plaintext, err := a.Keys.Decrypt(r.Context(), id, ciphertext, iv)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, decryptAnswer{base64.StdEncoding.EncodeToString(plaintext)})
	return nil
}

// current is the identity of the module that asks, whose generation id the path
// has to name: a module that runs under one that was deleted is nobody any more.
func (a *api) current(r *httpapi.Request) (identity.Identity, error) {
	return a.Identities.Current(r.Module, mux.Vars(r.Request)["genid"])
}

// made is the identity of the module that asks, as current is, by the generation id that
// its container was made with. A container that an edged of before started, which did not
// record it, goes by whatever is there, so that an upgrade refuses nobody.
func (a *api) made(r *httpapi.Request) (identity.Identity, error) {
	if id := r.Caller.Instance.GenerationID; id != "" {
		return a.Identities.Current(r.Module, id)
	}
	return a.Identities.Get(r.Module)
}

func decodeBoth(name, text, vector string) (b, iv []byte, err error) {
	if b, err = decode(name, text); err != nil {
		return nil, nil, err
	}
	iv, err = decode("initializationVector", vector)
	return b, iv, err
}

// decode reads standard base64, padded. What would be encoded otherwise is refused,
// so that one value has one form: Go's decoder alone skips line breaks.
func decode(name, text string) ([]byte, error) {
	if text == "" {
		return nil, invalid(name, "it is missing or empty")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, invalid(name, "it is not standard base64 with padding")
	}
	return b, nil
}

func invalid(name, why string) error {
	return fmt.Errorf("invalid parameter: %s: %s: %w", name, why, errdefs.ErrInvalidArgument)
}
