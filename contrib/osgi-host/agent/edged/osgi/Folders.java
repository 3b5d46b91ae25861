package edged.osgi;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;

/** Whole folders: emptied, removed, and made to outlive a loss of power. */
final class Folders {
    private Folders() {
    }

    /** Makes the folder an empty one. */
    static void clear(Path folder) throws IOException {
        remove(folder);
        Files.createDirectories(folder);
    }

    /** Removes the folder with all that is in it. That there is none is no error. */
    static void remove(Path folder) throws IOException {
        try {
            Files.walkFileTree(folder, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.deleteIfExists(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path dir, IOException failure) throws IOException {
                    Files.deleteIfExists(dir);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (NoSuchFileException e) {
            // There is nothing to remove.
        }
    }

    /** Fails when nothing can be written in the folder. */
    static void probe(Path folder) throws IOException {
        Path file = folder.resolve("probe");
        try {
            Files.write(file, new byte[1 << 16]);
            force(file);
        } finally {
            Files.deleteIfExists(file);
        }
    }

    /**
     * Puts on the disk what has changed below the folder since a time. No framework does so by itself, and each has its own files, so all are looked
     * at that are new. Files that go meanwhile are no matter.
     */
    static void force(Path folder, long since) throws IOException {
        FileTime from = FileTime.fromMillis(since);
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                if (attributes.isRegularFile() && attributes.lastModifiedTime().compareTo(from) >= 0) {
                    force(file);
                }
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException failure) {
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path dir, IOException failure) throws IOException {
                try {
                    if (Files.getLastModifiedTime(dir).compareTo(from) >= 0) {
                        force(dir);
                    }
                } catch (NoSuchFileException e) {
                    // Gone meanwhile.
                }
                return FileVisitResult.CONTINUE;
            }
        });
    }

    /** Puts a file, or the names in a folder, on the disk: fsync(2) does not ask for a descriptor that can write. */
    static void force(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (NoSuchFileException e) {
            // Gone meanwhile.
        }
    }
}
