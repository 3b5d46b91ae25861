// Package pack reads the formats in which packages come: RAMP archives of Redis modules,
// archives of container images, and the signatures that go with them.
//
// What it reads is hostile until it has said otherwise. Nothing is written, nothing is
// believed that was not counted: sizes are those of the bytes that came out, digests are
// computed, and every list, name, depth and ratio has a limit. It knows neither where
// packages are kept nor who sends them.
package pack
