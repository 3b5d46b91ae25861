// Package listen makes the Unix sockets that edged serves and speaks with the
// service manager about them.
//
// Three kinds of socket come from here: the two that systemd passes by name
// (Activation), the same two bound by edged itself where no service manager
// does it (Open), and one directory of sockets a module (ModuleSockets), whose
// listeners outlive a restart of edged in systemd's file descriptor store
// (Notifier.Store).
//
// Which listener accepted a connection is one of the facts by which edged
// decides who is asking. So a listener is used only when the kernel confirms
// what it is: a listening stream socket, and, for a module, the one whose file
// the module sees. Nothing here trusts a name alone.
package listen
