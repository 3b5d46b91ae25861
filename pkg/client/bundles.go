package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edged/edged/pkg/client/wire"
)

// bundleTimeout bounds what is done with bundles: edged waits for its framework, and that
// for bundles to start.
const bundleTimeout = 11 * time.Minute

const bundlesPath = "/modules/api/bundles"

// All calls about bundles take the permission adminTemplates.

// Bundles returns the bundles of the device, in the order in which they came, with what is
// remembered of them and, where the framework runs, their states.
func (c *Client) Bundles(ctx context.Context) (*wire.BundleList, error) {
	var list wire.BundleList
	err := c.call(ctx, readTimeout, http.MethodGet, bundlesPath+"/_list", nil, nil, &list)
	return &list, err
}

// BundleOp does one of start, stop, uninstall, refresh and update with a bundle, which is
// named by its key, by its name and version, or by a name that only one has. Errors:
// errdefs.NotFound, Internal (the framework said no), Unavailable.
func (c *Client) BundleOp(ctx context.Context, op, key string) (*wire.BundleOperation, error) {
	var done wire.BundleOperation
	err := c.call(ctx, bundleTimeout, http.MethodPost, bundlesPath+"/"+escapeKey(key)+"/_"+op, nil, nil, &done)
	return &done, err
}

// escapeKey leaves slashes as they are.
func escapeKey(key string) string { return strings.ReplaceAll(url.PathEscape(key), "%2F", "/") }

// BundleInfo returns what the API says of a key or a selector, as JSON.
func (c *Client) BundleInfo(ctx context.Context, selector string) (json.RawMessage, error) {
	var info json.RawMessage
	err := c.call(ctx, readTimeout, http.MethodGet, bundlesPath+"/"+escapeKey(selector)+"/_localInfo", nil, nil, &info)
	return info, err
}

// BundleFile is a bundle to be installed, or a package of bundles.
type BundleFile struct {
	// Body is read to its end, and has Size bytes.
	Body io.Reader
	Size int64
	// Name is told edged as the file's.
	Name string
}

// InstallBundles installs bundles, all or none, and starts them if it is to. It calls report,
// if there is one, as bytes are sent. Errors: errdefs.InvalidArgument, Internal (the
// framework said no), ResourceExhausted, Unavailable.
func (c *Client) InstallBundles(ctx context.Context, files []BundleFile, start, ignoreChecks bool, report func(sent int64)) (*wire.BundleOperation, error) {
	ctx, cancel := context.WithTimeout(ctx, packageTimeout)
	defer cancel()
	f := newForm(report)
	for name, set := range map[string]bool{"start": start, "ignoreChecks": ignoreChecks} {
		if set {
			f.field(name, "true")
		}
	}
	for _, b := range files {
		f.file("bundle", b.Name, b.Size, b.Body)
	}
	req, err := f.request(ctx, bundlesPath)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Expect", "100-continue") // a refusal is read, and nothing is sent in vain
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, readError(resp)
	}
	var done wire.BundleOperation
	return &done, c.decode(resp.Body, &done)
}

// StoreBundleStates stores what is to be done with each bundle, and returns it.
func (c *Client) StoreBundleStates(ctx context.Context) ([]wire.BundlePersistentState, error) {
	var states []wire.BundlePersistentState
	err := c.call(ctx, bundleTimeout, http.MethodPost, bundlesPath+"/_storeAllLocalPersistentStates", nil, nil, &states)
	return states, err
}

// RestoreBundleStates starts and stops bundles as states say; nil stands for those that edged
// stored last. It returns the bundles whose state was another. Errors: errdefs.NotFound (one
// of them is not on the device), and those of BundleOp.
func (c *Client) RestoreBundleStates(ctx context.Context, states []wire.BundlePersistentState) (*wire.BundleOperation, error) {
	var body any
	if states != nil {
		body = states
	}
	var done wire.BundleOperation
	err := c.call(ctx, bundleTimeout, http.MethodPost, bundlesPath+"/_restoreAllLocalPersistentStates", nil, body, &done)
	return &done, err
}
