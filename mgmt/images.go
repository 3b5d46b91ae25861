package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/module"
)

const ndjson = "application/x-ndjson"

func (a *api) listImages(w http.ResponseWriter, r *httpapi.Request) error {
	entries, err := a.Images.List(r.Context())
	if err != nil {
		return err
	}
	list := wire.ImageList{Images: make([]wire.Image, 0, len(entries))}
	for _, e := range entries {
		list.Images = append(list.Images, wire.Image{
			Name: e.Name, Digest: e.Digest, Size: e.Size, LastUsed: e.Used.UTC().Format(time.RFC3339),
			UsedBy: append([]string{}, e.Modules...), Kept: string(e.Kept),
		})
	}
	httpapi.WriteJSON(w, http.StatusOK, list)
	return nil
}

// pullImage answers with JSON lines as the pull goes on. What fails before its first
// word of progress is an error like any other, so that a refused password is a 400.
func (a *api) pullImage(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.ImagePull
	if err := r.JSON(&body); err != nil {
		return err
	}
	if body.Image == "" {
		return fmt.Errorf("missing image: %w", errdefs.ErrInvalidArgument)
	}
	var auth *module.Auth
	if b := body.Auth; b != nil && *b != (wire.Auth{}) {
		auth = &module.Auth{Username: b.Username, Password: b.Password, Email: b.Email, ServerAddress: b.ServerAddress}
	}
	ctx := r.Context()
	if a.Stopping != nil {
		// The pull ends with edged, and so does the answer; both go on where they were.
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(a.Stopping, func() { cancel(fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)) })()
	}
	out := &pullWriter{w: w, control: http.NewResponseController(w), seen: map[string]int64{}}
	got, err := a.Images.Pull(ctx, body.Image, auth, out.progress)
	switch {
	case err != nil && !out.begun:
		return err
	case err != nil:
		out.line(wire.PullStatus{Status: wire.PullFailed, Code: httpapi.Status(err), Message: httpapi.Message(err)})
	default:
		out.line(wire.PullStatus{Status: wire.PullDone, Image: got.Ref, Digest: got.Digest})
	}
	return nil
}

func (a *api) pruneImages(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.ImagePrune
	if err := r.JSON(&body); err != nil {
		return err
	}
	removed, err := a.Images.Prune(r.Context(), body.All)
	if err != nil {
		return err
	}
	answer := wire.ImagesPruned{Removed: make([]wire.RemovedImage, 0, len(removed))}
	for _, i := range removed {
		answer.Removed = append(answer.Removed, wire.RemovedImage{Name: i.Name, Digest: i.Digest, Bytes: i.Bytes})
		answer.Bytes += i.Bytes
	}
	httpapi.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// pullWriter turns pictures of a pull into lines: one for a new phase, and one for each
// layer of which there is more than the last line said.
type pullWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
	phase   image.Phase
	seen    map[string]int64 // offset said, by layer
}

func (p *pullWriter) progress(now image.Progress) {
	if !p.begun && (now.Phase == image.Waiting || now.Phase == image.Resolving) {
		return // the registry has not said yes
	}
	if now.Phase != p.phase {
		p.phase = now.Phase
		p.line(wire.PullStatus{Status: string(now.Phase)})
	}
	for _, l := range now.Layers {
		if said, ok := p.seen[l.Digest]; !ok || said != l.Offset {
			p.seen[l.Digest] = l.Offset
			p.line(wire.PullStatus{Status: wire.PullDownloading, Layer: l.Digest, Offset: l.Offset, Total: l.Total})
		}
	}
}

func (p *pullWriter) line(s wire.PullStatus) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", ndjson)
		p.w.WriteHeader(http.StatusOK)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return
	}
	httpapi.Deadline(p.w)
	// A client that left is noticed by its context.
	_, _ = p.w.Write(append(b, '\n'))
	_ = p.control.Flush()
}
