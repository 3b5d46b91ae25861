// Package openapi has the OpenAPI documents of edged's APIs, which edged serves. Tests of the
// packages that speak HTTP hold routes and answers to them: package openapitest.
package openapi

import (
	"embed"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

//go:embed *.yaml
var documents embed.FS

// Names are those of the documents, in the order in which the APIs came.
var Names = []string{"management.yaml", "workload.yaml", "uploads.yaml", "catalog.yaml", "bundles.yaml"}

// Read returns a document. The error is errdefs.NotFound and says which documents there are.
func Read(name string) ([]byte, error) {
	b, err := documents.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("no such document: there are %s: %w", strings.Join(Names, ", "), errdefs.ErrNotFound)
	}
	return b, nil
}
