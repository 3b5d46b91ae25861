// Package framework speaks to the OSGi framework in its container: lines of JSON over the
// socket that the host's agent connects to. docs/internals/osgi-host.md has the protocol.
//
// What comes from there is believed of bundles alone, and is not believed to be well-formed:
// a bundle can be hostile, and it runs in the same process as the agent.
package framework
