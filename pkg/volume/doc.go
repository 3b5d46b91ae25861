// Package volume keeps the data that outlives a module's containers: a folder a
// volume, <home>/volumes/<name>/_data, with what is known of it beside the data. It
// comes about whole, by a rename, and goes whole, by another: a crash leaves nothing
// that looks like a volume and is half of one. The package knows nothing of images
// and containers; whoever makes a volume fills it.
package volume
