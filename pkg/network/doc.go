// Package network gives modules their networks: a network namespace that belongs to
// the module and outlives its containers, addresses that stay the same, host ports,
// and names.
//
// Interfaces are made by CNI plugins. Of the default network edged itself keeps the
// addresses (in the database) and the packet filter (chains of its own, always
// written whole, so that nothing can be left over); an operator's networks are
// whatever their conflists make of them. All that CNI keeps lies under the run
// folder, which a reboot empties; what is attached is in a file a module there,
// written before the first plugin runs.
package network
