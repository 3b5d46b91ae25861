// Package deploy hands a deployment manifest to the agent and watches what comes of
// it, through the two folders that edged shares with the module edgeAgent. What stands
// in the folder of status was written by a module: it is read with limits, shown as
// text and believed in nothing that matters.
package deploy
