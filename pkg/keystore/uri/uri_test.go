package uri

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestURIsAreReadAsTheyAreMeant(t *testing.T) {
	slot := 3
	for text, want := range map[string]struct {
		uri    URI
		people string
	}{
		"file:///var/lib/edged/../keys/":                   {URI{Kind: File, Path: "/var/lib/keys"}, "/var/lib/keys"},
		"tpm2:":                                            {URI{Kind: TPM, Path: DefaultTPM}, "TPM /dev/tpmrm0"},
		"tpm2:/dev/tpm1":                                   {URI{Kind: TPM, Path: "/dev/tpm1"}, "TPM /dev/tpm1"},
		"tpm2:///dev/tpm1?handle=0x81000002":               {URI{Kind: TPM, Path: "/dev/tpm1", Handle: 0x81000002}, "handle 0x81000002 of TPM /dev/tpm1"},
		"pkcs11:token=my%20token?module-path=/m.so":        {URI{Kind: Token, Path: "/m.so", TokenLabel: "my token"}, `token "my token"`},
		"pkcs11:serial=07?module-path=/m.so&pin-source=/p": {URI{Kind: Token, Path: "/m.so", TokenSerial: "07", PINSource: "/p"}, `token with serial number "07"`},
		"pkcs11:slot-id=3;object=a%3bb;id=%00%ff?module-path=/m.so&pin-source=file:///p": {
			URI{Kind: Token, Path: "/m.so", Slot: &slot, Object: "a;b", ID: []byte{0, 0xff}, PINSource: "/p"}, `id 00ff of object "a;b" of token in slot 3`,
		},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want.uri, *got, text)
		require.Equal(t, want.people, got.String(), text)
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "want a URI that begins with file://, tpm2: or pkcs11:",
		"/keys":                              "want a URI that begins",
		"file://keys":                        "not an absolute path",
		"tpm2:tpm0":                          "not an absolute path of a TPM",
		"tpm2:?handle=0x80000001":            "persistent key",
		"tpm2:?handel=0x81000001":            "persistent key",
		"pkcs11:":                            "exactly one of token, serial and slot-id",
		"pkcs11:token=a;serial=b":            "exactly one of",
		"pkcs11:token=a":                     "module-path",
		"pkcs11:token=a?module-path=lib.so":  "module-path",
		"pkcs11:token=a;token=b":             "token stands there twice",
		"pkcs11:token=%zz":                   "token is not percent-encoded",
		"pkcs11:slot-id=x":                   "slot-id is not a number",
		"pkcs11:manufacturer=x":              `attribute "manufacturer" is not known here`,
		"pkcs11:token=a?pin-source=|command": "pin-source is not the absolute path",
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestAPINInTheURIIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{"pkcs11:token=a?module-path=/m.so&pin-value=4711", "pkcs11:pin-value=4711;token=a", "pkcs11:token=a?pin-value=4711%zz"} {
		_, err := Parse(text)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
		require.NotContains(t, err.Error(), "4711")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"file:///a", "tpm2:/dev/tpm0?handle=0x81000001", "pkcs11:token=a;object=b?module-path=/m&pin-source=file:/p"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			return
		}
		require.NotEmpty(t, u.Path)
		require.NotEmpty(t, u.String())
	})
}
