package edged.osgi;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;

/**
 * Notes of which bytes a bundle has: a file a bundle, named by its id, with the digest and the location. A note is made after the change it belongs to and
 * taken away before it, so that one that is there tells the truth whenever the power goes.
 */
final class Digests {
    private final Path folder;
    private final Map<Long, String> known = new ConcurrentHashMap<>();

    private Digests(Path folder) {
        this.folder = folder;
    }

    /** Reads the notes; those of bundles that are no longer there go. */
    static Digests open(Path folder, BundleContext context) throws IOException {
        Digests digests = new Digests(folder);
        for (Note note : notes(folder)) {
            if (note.speaksOf(context)) {
                digests.known.put(note.bundle, note.digest);
            } else {
                Files.deleteIfExists(note.file);
            }
        }
        return digests;
    }

    /** Says what the framework has lost: null unless there are notes, and every one is of a bundle that the framework does not have. */
    static String lost(Path folder, BundleContext context) throws IOException {
        List<Note> notes = notes(folder);
        for (Note note : notes) {
            if (note.speaksOf(context)) {
                return null;
            }
        }
        return notes.isEmpty() ? null : "the framework has none of the " + notes.size() + " bundles that were noted";
    }

    /** The digest of a bundle's bytes, or null when it is not known for certain. */
    String of(Bundle bundle) {
        return known.get(bundle.getBundleId());
    }

    void put(Bundle bundle, String digest) throws IOException {
        Path file = file(bundle);
        Path part = folder.resolve(file.getFileName() + ".part");
        Files.writeString(part, digest + "\n" + bundle.getLocation() + "\n");
        Folders.force(part);
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        Folders.force(folder);
        known.put(bundle.getBundleId(), digest);
    }

    void remove(Bundle bundle) throws IOException {
        known.remove(bundle.getBundleId());
        if (Files.deleteIfExists(file(bundle))) {
            Folders.force(folder);
        }
    }

    private Path file(Bundle bundle) {
        return folder.resolve(Long.toString(bundle.getBundleId()));
    }

    /** A note as it stands on the disk. */
    private record Note(Path file, long bundle, String digest, String location) {

        boolean speaksOf(BundleContext context) {
            Bundle there = context.getBundle(bundle);
            return there != null && there.getLocation().equals(location);
        }
    }

    /** The notes that can be read; what is cut off or never became a note goes. */
    private static List<Note> notes(Path folder) throws IOException {
        Files.createDirectories(folder);
        List<Note> all = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                String[] lines = new String(Files.readAllBytes(file), StandardCharsets.UTF_8).split("\n", -1);
                String name = file.getFileName().toString();
                if (!name.matches("[0-9]{1,18}") || lines.length != 3 || !lines[0].matches("sha256:[0-9a-f]{64}")) {
                    Files.delete(file);
                    continue;
                }
                all.add(new Note(file, Long.parseLong(name), lines[0], lines[1]));
            }
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return all;
    }
}
