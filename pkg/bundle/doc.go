// Package bundle is the domain of bundles: units with an OSGi life cycle, which a framework
// in a container of its own starts and stops.
//
// edged remembers which bundles there are and which are to be started; the framework alone
// knows what state they are in, and no state is given that did not come from the one that
// runs now. What the framework has is brought to what is remembered each time it comes up,
// so whatever was cut short ends in a true state.
package bundle
