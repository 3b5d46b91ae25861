// Package engine runs modules' containers on containerd. It implements
// module.Engine with the plain client, so that one code path drives containerd
// 1.6, 1.7 and 2.x.
//
// It keeps no truth of its own: what should run is the supervisor's, what runs is
// containerd's. Every remote call has a deadline; a containerd that is away makes
// calls fail at once with errdefs.Unavailable and is found again when it is back.
package engine
