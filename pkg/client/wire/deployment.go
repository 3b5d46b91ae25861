package wire

import "github.com/edged/edged/pkg/deployment"

// Deployment is the answer of GET /deployment: what the agent is to apply and what it
// says of it.
type Deployment struct {
	// Revision is of the manifest that the agent is to apply: its SHA-256 in hex. Empty
	// without one.
	Revision string `json:"revision,omitempty"`
	// Variables are the names of ${NAME} that have a value.
	Variables []string `json:"variables"`
	// Status is what the agent says; absent when it has said nothing.
	Status *deployment.Status `json:"status,omitempty"`
	// History is the latest deployments, newest first.
	History []deployment.Entry `json:"history"`
	// Problem says what of this cannot be read, and why.
	Problem string `json:"problem,omitempty"`
}

// DeploymentManifest is the answer of GET /deployment/manifest. The text is base64,
// because a revision is the hash of its bytes.
type DeploymentManifest struct {
	Revision string `json:"revision"`
	Manifest []byte `json:"manifest"`
}

// DeploymentSpec is the body of PUT /deployment.
type DeploymentSpec struct {
	// Manifest is the text, in base64.
	Manifest []byte `json:"manifest"`
	// Variables are values of ${NAME}, to be kept beside the manifest. Those of earlier
	// deployments stay as long as a deployment of the history names them.
	Variables map[string]string `json:"variables,omitempty"`
	// Before, when given, has to be the Revision that there is.
	Before *string `json:"before,omitempty"`
}

// DeploymentPut is its answer. Without Changed it was applied already, and nothing was written.
type DeploymentPut struct {
	Revision string `json:"revision"`
	Changed  bool   `json:"changed"`
}
