package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/edged/edged/pkg/client/wire"
)

// packageTimeout bounds an upload, and what edged does with it: over a slow line, and with
// dependencies that it has to fetch, either takes hours.
const packageTimeout = 4 * time.Hour

// actionEvery is how often edged is asked how far an action is.
const actionEvery = 100 * time.Millisecond

// Packages returns the packages of the device, by name and version. It takes the
// permission view_cluster_modules.
func (c *Client) Packages(ctx context.Context) ([]wire.PackageModule, error) {
	var list []wire.PackageModule
	err := c.call(ctx, readTimeout, http.MethodGet, "/v1/modules", nil, nil, &list)
	return list, err
}

// RemovePackage removes a package, its image and its bytes. It takes the permission
// update_cluster. Errors: errdefs.NotFound, PermissionDenied, FailedPrecondition (in use).
func (c *Client) RemovePackage(ctx context.Context, uid string) error {
	return c.call(ctx, changeTimeout, http.MethodDelete, "/v2/modules/"+url.PathEscape(uid), nil, nil, nil)
}

// Package is one to be uploaded.
type Package struct {
	// Body is read to its end, and has Size bytes.
	Body io.Reader
	Size int64
	// Name is told edged as the file's.
	Name string
	// Signature is in minisign's format; nil for none.
	Signature []byte
}

// PushPackage uploads a package and waits until it is there, with its dependencies and its
// image. It calls report, if there is one, as bytes are sent. What edged refuses without
// having seen the package is not sent. It takes the permission update_cluster. Errors:
// errdefs.InvalidArgument, AlreadyExists, PermissionDenied, ResourceExhausted, Unavailable.
func (c *Client) PushPackage(ctx context.Context, p Package, report func(sent int64)) (*wire.PackageModule, error) {
	ctx, cancel := context.WithTimeout(ctx, packageTimeout)
	defer cancel()
	req, err := pushRequest(ctx, p, report)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, readError(resp)
	}
	var added wire.PackageAdded
	if err := c.decode(resp.Body, &added); err != nil {
		return nil, err
	}
	if err := c.awaitAction(ctx, added.ActionUID); err != nil {
		return nil, err
	}
	var now wire.PackageModule
	if err := c.call(ctx, readTimeout, http.MethodGet, "/v1/modules/"+url.PathEscape(added.UID), nil, nil, &now); err != nil {
		return nil, err
	}
	return &now, nil
}

func pushRequest(ctx context.Context, p Package, report func(sent int64)) (*http.Request, error) {
	f := newForm(report)
	if p.Signature != nil {
		f.file("module.minisig", "module.minisig", int64(len(p.Signature)), bytes.NewReader(p.Signature))
	}
	f.file("module", p.Name, p.Size, p.Body)
	req, err := f.request(ctx, "/v2/modules")
	if err == nil {
		req.Header.Set("Expect", "100-continue")
	}
	return req, err
}

// awaitAction waits for the end of an action.
func (c *Client) awaitAction(ctx context.Context, uid string) error {
	for {
		var a wire.PackageAction
		if err := c.call(ctx, readTimeout, http.MethodGet, "/v1/actions/"+url.PathEscape(uid), nil, nil, &a); err != nil {
			return err
		}
		switch a.Status {
		case "completed":
			return nil
		case "failed":
			return &Error{Status: http.StatusBadRequest, Code: a.ErrorCode, Message: a.ErrorMessage}
		}
		select {
		case <-time.After(actionEvery):
		case <-ctx.Done():
			return c.broken(context.Cause(ctx))
		}
	}
}

// IsPackageExists says whether a package was refused because one of its name and version
// is on the device.
func IsPackageExists(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "module_exists"
}
