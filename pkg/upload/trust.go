package upload

import (
	"context"
	"errors"
	"fmt"

	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/pack"
)

// Policy says what a signature is worth.
type Policy string

// The policies. A signature that comes along is verified under Warn and Require.
const (
	// Off looks at no signature.
	Off Policy = "off"
	// Warn takes packages whatever becomes of their signature, and says so in the log.
	Warn Policy = "warn"
	// Require takes only packages that a trusted key signed, and none that is older than
	// what was taken under its name before.
	Require Policy = "require"
)

// verify holds what is staged against its signature. Nothing is parsed before.
func (p *Packages) verify(ctx context.Context, s *content.Staged, format pack.Format, signature []byte) (*pack.Signed, error) {
	policy := p.Policy[format]
	if policy == Off || policy == "" {
		return nil, nil
	}
	signed, err := p.verified(ctx, s, signature)
	if err == nil || policy == Require || CodeOf(err) == "" && !errors.Is(err, errTrust) {
		return signed, err
	}
	p.Log.WithError(err).Warn("a package is taken that would be refused if signatures were required")
	return nil, nil
}

// errTrust is of keys that cannot be read.
var errTrust = errors.New("cannot verify signatures")

func (p *Packages) verified(ctx context.Context, s *content.Staged, signature []byte) (*pack.Signed, error) {
	if len(signature) == 0 {
		return nil, refuse(SignatureRequired, "the package is not signed, and this device takes none that is not")
	}
	keys, err := p.Trust()
	if err != nil {
		// Not the client's: it does not matter what is signed while nobody knows who is trusted.
		return nil, fmt.Errorf("%w: %w", errTrust, err)
	}
	signed, err := pack.Verify(s.Blob(ctx).Whole(), signature, keys)
	return signed, ofPack(err)
}

// counter returns what is to be remembered of a signed package, and refuses one that is
// older than the newest that was taken under its name. The caller holds p.saving.
func (p *Packages) counter(ctx context.Context, pkg *Package) (*Counter, error) {
	s := pkg.Signed
	if s == nil {
		return nil, nil
	}
	newest, any, err := p.Store.PackageCounter(ctx, pkg.Name)
	if err != nil {
		return nil, err
	}
	required := p.Policy[pkg.Format] == Require
	var refusal error
	switch {
	case !s.Counted:
		refusal = refuse(RollbackRefused, "the signature has neither a counter nor a time in its trusted comment, so nobody can say whether the package is an old one")
	case any && s.Counter < newest:
		refusal = refuse(RollbackRefused, "the package was signed as number %d of %s, and number %d was here already: sign it anew to go back", s.Counter, pkg.Name, newest)
	}
	switch {
	case refusal != nil && required:
		return nil, refusal
	case refusal != nil:
		p.Log.WithError(refusal).Warn("a package is taken that would be refused if signatures were required")
		return nil, nil
	}
	return &Counter{pkg.Name, s.Counter}, nil
}
