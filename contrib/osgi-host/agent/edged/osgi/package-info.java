/**
 * The agent of edged in the OSGi host: it launches one framework, keeps the host's own bundles in it, and does what edged asks for over a Unix socket.
 *
 * <p>It uses java.base and the standard API of OSGi alone, so that any framework with a FrameworkFactory will do. The protocol is described in
 * docs/internals/osgi-host.md.
 */
package edged.osgi;
