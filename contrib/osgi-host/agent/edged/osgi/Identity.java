package edged.osgi;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.jar.Manifest;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

import org.osgi.framework.Bundle;
import org.osgi.framework.Constants;
import org.osgi.framework.Version;

/** The symbolic name and version of a bundle, as one text: what a framework has once. */
final class Identity {
    /** Bytes of a manifest; one that is longer is the framework's to refuse or to take. */
    private static final int LONGEST = 1 << 20;

    private Identity() {
    }

    static String of(Bundle bundle) {
        return bundle.getSymbolicName() + "/" + bundle.getVersion();
    }

    /** Reads the identity in a file; empty when there is none, or none that can be read, which is the framework's to say. */
    static String of(Path file) {
        try (ZipFile zip = new ZipFile(file.toFile())) {
            ZipEntry entry = zip.getEntry(JarFile.MANIFEST_NAME);
            if (entry == null) {
                return "";
            }
            try (InputStream in = zip.getInputStream(entry)) {
                Attributes headers = new Manifest(new ByteArrayInputStream(in.readNBytes(LONGEST))).getMainAttributes();
                String name = headers.getValue(Constants.BUNDLE_SYMBOLICNAME);
                if (name == null) {
                    return "";
                }
                return name.split(";", 2)[0].strip() + "/" + Version.parseVersion(headers.getValue(Constants.BUNDLE_VERSION));
            }
        } catch (IOException | IllegalArgumentException e) {
            return "";
        }
    }
}
