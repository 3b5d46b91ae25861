package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// labelled derives from the labels as they are, with their bounds.
type labelled struct {
	calls int
	fail  error
}

func (l *labelled) Derive(_ context.Context, labels ...string) ([32]byte, error) {
	l.calls++
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", labels))
	return sum, l.fail
}

func TestEachIdentityAndEachKeySignsOtherwise(t *testing.T) {
	k := NewKeys(&labelled{})
	seen := map[string]string{}
	for _, id := range []Identity{
		{Module: "a", GenerationID: "1"},
		{Module: "a", GenerationID: "2"},
		{Module: "b", GenerationID: "1"},
		{Module: "ab", GenerationID: "c"}, // joined it would be the same as the next
		{Module: "a", GenerationID: "bc"},
	} {
		for _, key := range []string{PrimaryKey, SecondaryKey} {
			digest, err := k.Sign(t.Context(), id, key, []byte("data"))
			require.NoError(t, err)
			require.Len(t, digest, 32)
			name := fmt.Sprint(id, key)
			require.Empty(t, seen[string(digest)], name)
			seen[string(digest)] = name
			again, err := k.Sign(t.Context(), id, key, []byte("data"))
			require.NoError(t, err)
			require.Equal(t, digest, again)
		}
	}
	_, err := k.Sign(t.Context(), Identity{Module: "a"}, "third", nil)
	require.True(t, errdefs.IsInvalidArgument(err))
}

func TestASignatureIsHMACSHA256(t *testing.T) {
	d := &labelled{}
	secret, err := d.Derive(t.Context(), purposeSign, "temp", "g", PrimaryKey)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("data"))
	digest, err := NewKeys(d).Sign(t.Context(), Identity{Module: "temp", GenerationID: "g"}, PrimaryKey, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, mac.Sum(nil), digest)
}

func TestOnlyTheSameModuleGenerationAndIVDecrypt(t *testing.T) {
	k := NewKeys(&labelled{})
	ctx := t.Context()
	foo := Identity{Module: "foo", GenerationID: "1g"}
	sealed, err := k.Encrypt(ctx, foo, []byte("secret"), []byte("iv"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "secret")
	plain, err := k.Decrypt(ctx, foo, sealed, []byte("iv"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))

	other, err := k.Encrypt(ctx, foo, []byte("secret"), []byte("iv"))
	require.NoError(t, err)
	require.NotEqual(t, sealed, other, "one iv for all, and yet a nonce of its own")

	for _, id := range []Identity{{Module: "foo1", GenerationID: "g"}, {Module: "foo", GenerationID: "1"}, {Module: "fo", GenerationID: "o1g"}} {
		_, err := k.Decrypt(ctx, id, sealed, []byte("iv"))
		require.True(t, errdefs.IsInvalidArgument(err), id)
	}
	_, err = k.Decrypt(ctx, foo, sealed, []byte("IV"))
	require.True(t, errdefs.IsInvalidArgument(err))
	for i := range sealed {
		bad := append([]byte(nil), sealed...)
		bad[i] ^= 1
		_, err := k.Decrypt(ctx, foo, bad, []byte("iv"))
		require.True(t, errdefs.IsInvalidArgument(err), i)
		_, err = k.Decrypt(ctx, foo, sealed[:i], []byte("iv"))
		require.True(t, errdefs.IsInvalidArgument(err), i)
	}
}

func FuzzDecrypt(f *testing.F) {
	k := NewKeys(&labelled{})
	id := Identity{Module: "foo", GenerationID: "g"}
	sealed, err := k.Encrypt(context.Background(), id, []byte("secret"), []byte("iv"))
	require.NoError(f, err)
	f.Add(sealed, []byte("iv"))
	f.Add([]byte{sealedV3}, []byte{})
	f.Fuzz(func(t *testing.T, b, iv []byte) {
		plain, err := k.Decrypt(context.Background(), id, b, iv)
		if err == nil {
			require.Equal(t, "secret", string(plain), "nobody else's text opens")
		}
	})
}

func TestAKeyIsDerivedOnceAndNotAtAllWhenItCannotBe(t *testing.T) {
	d := &labelled{}
	k := NewKeys(d)
	id := Identity{Module: "a", GenerationID: "1"}
	for range 3 {
		_, err := k.Sign(t.Context(), id, PrimaryKey, nil)
		require.NoError(t, err)
	}
	require.Equal(t, 1, d.calls)
	for i := range 2 * maxCached {
		_, err := k.Sign(t.Context(), Identity{Module: fmt.Sprint(i)}, PrimaryKey, nil)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(k.ready), maxCached)
	d.fail = errors.New("no key store")
	_, err := k.Encrypt(t.Context(), Identity{Module: "new"}, nil, nil)
	require.ErrorContains(t, err, "no key store")
}
