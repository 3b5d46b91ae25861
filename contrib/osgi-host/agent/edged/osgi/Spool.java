package edged.osgi;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * A bundle's bytes on their way into the framework: in a file, because a bundle can be larger than the heap.
 *
 * @param failure why the file is not whole, or null; the bytes were taken from the connection all the same
 */
record Spool(Path file, String digest, IOException failure) implements AutoCloseable {

    static Spool read(Input input, long size, Path folder) throws IOException {
        MessageDigest hash = sha256();
        Path file = null;
        OutputStream out = null;
        IOException failure = null;
        try {
            file = Files.createTempFile(folder, "bundle", ".jar");
            out = Files.newOutputStream(file);
        } catch (IOException e) {
            failure = e;
            if (Files.notExists(folder)) {
                // Whoever removed it removed the framework's storage, too. The next start begins it anew, from what edged has; until then nothing could be installed.
                Log.say("the storage was removed under the framework");
                Runtime.getRuntime().halt(1);
            }
        }
        try {
            byte[] part = new byte[1 << 16];
            for (long left = size; left > 0;) {
                int n = input.raw(part, left);
                left -= n;
                hash.update(part, 0, n);
                try {
                    // A full disk costs this request and not the connection: what follows the bytes shall be found.
                    if (failure == null) {
                        out.write(part, 0, n);
                    }
                } catch (IOException e) {
                    failure = e;
                }
            }
        } catch (IOException | RuntimeException e) {
            close(out);
            remove(file);
            throw e;
        }
        close(out);
        return new Spool(file, "sha256:" + HexFormat.of().formatHex(hash.digest()), failure);
    }

    /** The digest of a file as the notes have it. */
    static String digest(Path file) throws IOException {
        return "sha256:" + HexFormat.of().formatHex(sha256().digest(Files.readAllBytes(file)));
    }

    @Override
    public void close() {
        remove(file);
    }

    private static void close(OutputStream out) {
        try {
            if (out != null) {
                out.close();
            }
        } catch (IOException e) {
            Log.say("cannot close a spooled bundle: " + Failure.text(e));
        }
    }

    private static void remove(Path file) {
        try {
            if (file != null) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            Log.say("cannot remove a spooled bundle: " + Failure.text(e));
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
