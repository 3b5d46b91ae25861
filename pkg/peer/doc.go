// Package peer turns kernel facts about the other end of a Unix socket connection into a [Caller].
//
// # The threat
//
// A client may say anything about itself; nothing it says is read here. It may also choose its bind address, exit before it is accepted so that its
// pid is given to another process, hand its descriptor on, name its control groups like those of another module, and move itself deeper into control
// groups of its own making. Container root without a user namespace is uid 0 on the host. None of this may change whom edged takes it for.
//
// # The rule
//
// Three facts that the kernel made must agree: which listener accepted the connection ([Scope]), the control group of the process that the connection's
// pidfd pins (socket(7), SO_PEERPIDFD), looked up in the [Table] of the containers edged itself made, and, where the module has a network namespace of
// its own, the network namespace of the connection (SIOCGSKNS). A process outside every container of edged is a host user only on positive proof; see
// [Peers.Listen] for how a connection is taken and [FromContext] for how it is judged. Whatever disagrees or is in doubt is [Unknown], with a reason for
// the log and not for the client.
//
// # The order of the look-ups
//
// At accept: the pidfd. At the first request: what /proc/<pid> says, and then a poll of the pidfd. A process that still lives at the poll has had its pid since
// before it connected, so that everything read by that number was of its own, and was read in its life. At every request: the poll, and that the instance
// is still the one in the table. That the kernel gives a pidfd says nothing by itself: it may be of a process that was reaped.
//
// Kernels without SO_PEERPIDFD get [ProofPID]: pidfd_open(2) and a descriptor of /proc/<pid> right after accept, the start time and the credentials compared
// before and after, no modules on shared listeners, and [Peers.DrainBacklog] before the first accept. What is left is a process that recycles a pid in
// the time between a connect and the accept that follows at once.
//
// # The caller's duty
//
// Pass [ConnContext] to http.Server, ask [FromContext] once for each request, and close the connection after the answer when [CloseAfter] says so: a
// connection whose process is gone would otherwise be refused for ever.
//
// The package knows no routes, no containerd and no database.
package peer
