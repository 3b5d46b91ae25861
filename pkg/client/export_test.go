package client

import "io"

// NewFrames lets tests read frames without a server.
func NewFrames(r io.Reader) io.Reader { return &frames{r: r} }
