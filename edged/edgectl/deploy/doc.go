// Package deploy hands a deployment manifest to the agent and watches what comes of
// it, through edged. What the agent says was written by a module: it is shown as text
// and believed in nothing that matters.
package deploy
