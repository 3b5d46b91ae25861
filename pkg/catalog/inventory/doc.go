// Package inventory says what is installed in the file system of an image, as the
// databases of dpkg, apk and rpm in it have it.
//
// Nobody knows who wrote these files, and some are formats with pointers in them. So the
// daemon only opens them, inside the image's root and without being led out of it, and
// hands the descriptors to a process of its own that runs as nobody, without privileges,
// network or new files, with limits to its memory and time. That process parses, and what
// it prints is read as what a stranger says.
package inventory
