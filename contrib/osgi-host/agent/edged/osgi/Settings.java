package edged.osgi;

import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the environment says.
 *
 * @param socket where edged listens
 * @param storage the folder that outlives containers; all else that is written is in it
 * @param hostBundles the host's own bundles, a folder a start level
 * @param level how far the framework starts by itself; edged, which sets it, says when it goes on
 * @param properties further properties of the framework
 */
record Settings(Path socket, Path storage, Path hostBundles, int level, Map<String, String> properties) {
    private static final String LAST = "100";


    static Settings of(Map<String, String> environment) {
        return new Settings(
                Path.of(environment.getOrDefault("EDGED_OSGI_SOCKET", "/run/edged/osgi.sock")),
                Path.of(environment.getOrDefault("EDGED_OSGI_STORAGE", "/storage")),
                Path.of(environment.getOrDefault("EDGED_OSGI_BUNDLES", "/opt/osgi/bundles")),
                Integer.parseInt(environment.getOrDefault("EDGED_OSGI_LEVEL", LAST)),
                properties(environment.getOrDefault("EDGED_OSGI_PROPERTIES", "")));
    }

    private static Map<String, String> properties(String lines) {
        Map<String, String> all = new TreeMap<>();
        for (String line : lines.split("\n")) {
            if (line.isBlank()) {
                continue;
            }
            int equals = line.indexOf('=');
            if (equals <= 0) {
                throw new IllegalArgumentException("EDGED_OSGI_PROPERTIES has a line that is not key=value: " + line);
            }
            all.put(line.substring(0, equals).strip(), line.substring(equals + 1).strip());
        }
        return all;
    }

    /** What the framework keeps. */
    Path framework() {
        return storage.resolve("framework");
    }

    /** Which bytes each of edged's bundles has. */
    Path digests() {
        return storage.resolve("digests");
    }

    /** Which bytes each of the host's own bundles has. */
    Path ownDigests() {
        return storage.resolve("own-digests");
    }

    /** Bundles on their way from edged into the framework. */
    Path spool() {
        return storage.resolve("spool");
    }

    Path temporary() {
        return storage.resolve("tmp");
    }
}
